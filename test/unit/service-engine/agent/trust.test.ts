import t from 'tap'
import { CONTROLLER_URI } from '#controller/pki/authority.ts'
import { checkController } from '#engine/agent/trust.ts'

t.test('checkController takes the controller’s name and nothing like it', async t => {
  t.equal(checkController('anything', { subjectaltname: `DNS:localhost, URI:${CONTROLLER_URI}` }), undefined)
  for (const subjectaltname of [
    '',
    'DNS:localhost',
    'DNS:spiffe://weir/controller',
    'URI:spiffe://weir/controller2',
    'URI:spiffe://weir/engine/x',
    '"URI:spiffe://weir/controller, x"'
  ])
    t.match(checkController('localhost', { subjectaltname }), { message: /not the controller/ }, subjectaltname)
})
