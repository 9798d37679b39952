import t from 'tap'
import { strictnessContract } from '#test/contract/forwarder/strictness.ts'
import { forwarderKinds } from '#engine/dataplane/exchange/forwarder.ts'
import { openerOf } from '#test/support/data-plane.ts'

for (const kind of forwarderKinds) t.test(kind, async t => strictnessContract(t, openerOf(kind)))
