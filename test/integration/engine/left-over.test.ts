/** What an engine left that was killed together with the process that holds its addresses. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeKernelStarter } from '#engine/start-kernel.ts'
import { systemClock } from '#model/base/clock.ts'

const held = [{ address: '192.0.2.77', interface: 'lo' }]

for (const [what, text] of [
  ['with the table that told of them', JSON.stringify({ table: 'weir_left', held })],
  ['as engines wrote it that had no table', JSON.stringify(held)],
  ['of which half was written', '[{"addr']
] as const)
  t.test(`a list of addresses ${what} is carried out, and then forgotten`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-left-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'held-addresses'), text)
    await makeKernelStarter(folder, systemClock, null).clearLeftOver()
    t.notOk(existsSync(join(folder, 'held-addresses')))
  })

for (const [what, text] of [
  ['addresses that were announced', JSON.stringify({ addresses: ['192.0.2.77', 'fd92::77'], announced: ['192.0.2.77'] })],
  ['addresses that were announced, of which half was written', '{"addresses":["192.0']
] as const)
  t.test(`a list of ${what} is carried out, and then forgotten`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-left-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'announced-addresses'), text)
    await makeKernelStarter(folder, systemClock, null).clearLeftOver()
    t.notOk(existsSync(join(folder, 'announced-addresses')))
  })
