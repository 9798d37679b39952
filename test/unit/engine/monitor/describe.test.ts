import t from 'tap'
import { describeError } from '#engine/monitor/probe.ts'

t.test('describeError speaks of the server, not of how this engine is run', async t => {
  const hint = 'self-signed certificate; if the root CA is installed locally, try running Node.js with --use-system-ca'
  const error = Object.assign(new Error(hint), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  t.equal(describeError(error), 'its certificate leads to none of the roots that it must lead to')
  t.equal(describeError(new Error('odd\nthing')), 'odd thing')
})
