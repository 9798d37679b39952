import t from 'tap'
import { readGivenOut } from '#controller/upgrade/builds.ts'

const [x64, arm] = ['ab'.repeat(32), 'cd'.repeat(32)]

t.test('what is given out is read from what make package wrote', async t => {
  const folder = t.testdir({
    VERSION: '1.2.3\n',
    SHA256SUMS: `${x64}  weir-engine-linux-x64.tar.gz\n${'ef'.repeat(32)}  install.sh\n${arm}  weir-engine-linux-arm64.tar.gz\n`
  })
  t.same(readGivenOut(folder), { version: '1.2.3', builds: { 'linux-x64': x64, 'linux-arm64': arm } })
})

t.test('a folder without a whole package gives nothing out', async t => {
  t.equal(readGivenOut(t.testdir({})), undefined)
  t.equal(readGivenOut(t.testdir({ VERSION: '1', SHA256SUMS: `${x64}  install.sh\n` })), undefined)
  t.equal(readGivenOut(t.testdir({ SHA256SUMS: `${x64}  weir-engine-linux-x64.tar.gz\n` })), undefined)
})
