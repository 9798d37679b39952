/** Puts a file on a host, over its cable. */
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import { pipeline } from 'node:stream'
import type { Host } from './host.ts'

/** `ownAddress` is the test's end of the cable. */
export async function give(host: Host, ownAddress: string, file: string, path: string): Promise<void> {
  const server = createServer((_request, response) => pipeline(createReadStream(file), response, () => undefined))
  await new Promise<void>(done => server.listen(0, ownAddress, done))
  const at = server.address()
  const url = `http://${ownAddress}:${typeof at === 'object' ? at?.port : 0}/`
  const ran = await host.run(['curl', '-fsS', '-o', path, url], { timeoutMs: 60_000 })
  server.close()
  if (ran.code !== 0) throw new Error(`${file} did not get to ${host.name}: ${ran.stderr}`)
}
