import t from 'tap'
import { expiryShown, ocspShown } from '../../../ui/settings/certificate-facts.ts'

t.test('expiryShown says how long, and how bad that is', async t => {
  const at = (days: number, status: string) =>
    expiryShown({ days_until_expire: days, expiry_status: `SSL_CERTIFICATE_${status}`, not_after: 'x' })
  t.match(at(200, 'GOOD'), { band: 'good', text: '200 d left' })
  t.match(at(20, 'EXPIRY_WARNING'), { band: 'fair' })
  t.match(at(3, 'EXPIRY_WARNING'), { band: 'poor', text: '3 d left' })
  t.match(at(0, 'EXPIRY_WARNING'), { band: 'poor', text: 'ends today' })
  t.match(at(0, 'EXPIRED'), { band: 'down', text: 'ended' })
  t.equal(expiryShown({}), undefined)
})

t.test('ocspShown says what the authority says', async t => {
  const of = (word: string, info = {}) => ocspShown(`OCSP_ERR_CERTSTATUS_${word}`, info)
  t.equal(of('DISABLED'), undefined)
  t.match(of('GOOD', { next_update: '2026-01-01' }), { band: 'good', text: 'good', title: /next update 2026-01-01/ })
  t.match(of('REVOKED'), { band: 'down' })
  t.match(of('HTTP_REQ', { detail: 'did not answer' }), { band: 'poor', text: 'no answer', title: /did not answer/ })
})
