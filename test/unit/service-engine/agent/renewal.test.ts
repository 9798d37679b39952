import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { openAuthority } from '#controller/pki/authority.ts'
import { makeSeal } from '#controller/pki/seal.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { isRenewalDue } from '#engine/agent/agent.ts'
import { aCsr } from '#test/support/csr.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const DAY = 24 * 60 * 60 * 1000

t.test('isRenewalDue says so from half of a certificate’s life on', async t => {
  const clock = manualClock()
  const authority = await openAuthority({ store: openMemoryStore(), seal: makeSeal(new Uint8Array(32)), clock, log: silentLog })
  t.teardown(authority.stop)
  const { certificatePem } = await authority.signEngine((await aCsr()).csrPem, 'serviceengine-1')
  const now = clock.nowEpochMs()
  t.equal(isRenewalDue(certificatePem, now), false)
  t.equal(isRenewalDue(certificatePem, now + 14.9 * DAY), false)
  t.equal(isRenewalDue(certificatePem, now + 15.1 * DAY), true)
  t.equal(isRenewalDue(certificatePem, now + 40 * DAY), true)
})
