import t from 'tap'
import { makeLog } from '#model/base/log.ts'
import { parseOpenFileLimit, watchOpenFiles, type OpenFiles } from '#engine/meter/open-files.ts'
import { manualClock } from '#test/support/manual-clock.ts'

t.test('parseOpenFileLimit reads the soft limit', async t => {
  t.equal(
    parseOpenFileLimit('Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n'),
    1_024
  )
  t.equal(parseOpenFileLimit('Max open files            unlimited            unlimited            files\n'), Infinity)
  t.equal(parseOpenFileLimit(''), Infinity)
})

t.test('watchOpenFiles says once that they run out, and once that they do not', async t => {
  const clock = manualClock()
  const lines: string[] = []
  let files: OpenFiles = { open: 100, limit: 1_000 }
  const stop = watchOpenFiles(
    clock,
    makeLog(line => lines.push(line)),
    () => Promise.resolve(files)
  )
  const look = async (open: number): Promise<string[]> => {
    files = { open, limit: 1_000 }
    lines.length = 0
    clock.advance(2_000)
    await new Promise(resolve => setImmediate(resolve))
    return [...lines]
  }
  t.same(await look(900), [])
  t.match(await look(960), [/nearly all descriptors are in use/])
  t.same(await look(1_000), [])
  t.same(await look(900), [], 'not yet')
  t.match(await look(800), [/there are descriptors again/])
  t.match(await look(990), [/nearly all/])
  stop()
  t.same(await look(100), [])
})
