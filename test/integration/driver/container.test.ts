/** What a container engine may answer, on a real socket; the contract over a real one is test/lab/container-driver.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openContainerDriver } from '#controller/driver/container/container.ts'
import { DriverFailed } from '#controller/driver/port.ts'

async function answering(t: Test, listener: RequestListener) {
  const folder = mkdtempSync(join(tmpdir(), 'weir-docker-'))
  const socketPath = join(folder, 'docker.sock')
  const server = createServer(listener)
  await new Promise<void>(listening => server.listen(socketPath, listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return openContainerDriver({ socketPath, controllerId: 'us', image: 'weir-engine', network: 'host', workers: 1, memory: 0 })
}
const signal = AbortSignal.timeout(60_000)
const order = { name: 'edge-1', group: 'Edge', controllerUrl: 'https://c:9443', token: 'weir1.a.b', signal }

t.test('what is no answer is a failure in words', async t => {
  for (const [body, words] of [
    ['<html>', /no JSON/],
    ['{"a":1}', /no list/],
    ['"'.padEnd(17 * 1024 * 1024, 'x'), /more than 16 MiB/]
  ] as const) {
    const driver = await answering(t, (_request, response) => response.end(body))
    await t.rejects(driver.list(signal), words)
    await t.rejects(driver.list(signal), DriverFailed)
  }
  const broken = await answering(t, (_request, response) => response.writeHead(500).end('{"message":"no\\nspace  left"}'))
  await t.rejects(broken.list(signal), /containers cannot be listed: the container engine answers 500, no space left/)
  await t.rejects(broken.ensure(order), /container edge-1 cannot be looked at/)
  await t.rejects(broken.destroy(order), /container edge-1 cannot be looked at/)
  const silent = await answering(t, () => undefined)
  await t.rejects(silent.list(AbortSignal.timeout(50)), /does not answer/)
  const cut = await answering(t, request => request.socket.destroy())
  await t.rejects(cut.list(signal), /does not answer/)
})

t.test('names that are none of ours, and entries that are no containers, are left out', async t => {
  const list = [
    { Names: ['/edge-1'], State: 'running' },
    { Names: ['/Not_Ours'] },
    { Names: 7 },
    {},
    { Names: ['/edge-2'], State: 'exited' }
  ]
  const driver = await answering(t, (_request, response) => response.end(JSON.stringify(list)))
  t.same(await driver.list(signal), [
    { name: 'edge-1', isRunning: true },
    { name: 'edge-2', isRunning: false }
  ])
})
