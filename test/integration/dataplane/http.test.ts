import t from 'tap'
import { exchangeContract } from '#test/contract/forwarder/exchange.ts'
import { forwarderKinds } from '#engine/dataplane/exchange/forwarder.ts'
import { openerOf } from '#test/support/data-plane.ts'

for (const kind of forwarderKinds) t.test(kind, async t => exchangeContract(t, openerOf(kind)))
