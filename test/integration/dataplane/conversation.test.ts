import t from 'tap'
import { conversationContract } from '#test/contract/forwarder/conversation.ts'
import { forwarderKinds } from '#engine/dataplane/exchange/forwarder.ts'
import { openerOf } from '#test/support/data-plane.ts'

for (const kind of forwarderKinds) t.test(kind, async t => conversationContract(t, openerOf(kind)))
