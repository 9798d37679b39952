/** Ports for programs that must be told theirs before they start. */
import { createServer } from 'node:net'

/** Below the range that the kernel gives to clients, so that nobody's own connections ever take one. */
const FIRST_PORT = 20_000
const LAST_PORT = 31_999

/** Ports that nobody holds now, on any address, all different. */
export async function freePorts(count: number, random: () => number = Math.random): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 10_000) throw new Error('no free ports')
    const port = FIRST_PORT + Math.floor(random() * (LAST_PORT - FIRST_PORT + 1))
    if (!found.has(port) && (await isFree(port))) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}
