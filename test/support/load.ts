/** A bounded load over keep-alive connections that counts what failed. */
import { Agent, request } from 'node:http'

export interface LoadResult {
  readonly answered: number
  /** What went wrong, by kind: `status 502`, `ECONNRESET`. */
  readonly failures: Readonly<Record<string, number>>
}

export interface LoadOptions {
  readonly port: number
  readonly path?: string
  readonly connections: number
  /** Ends after so many requests, or when `isOver` says so, whatever comes first. */
  readonly requests: number
  readonly isOver?: () => boolean
}

function once(agent: Agent, port: number, path: string): Promise<string | undefined> {
  return new Promise(done => {
    const started = request({ agent, host: '127.0.0.1', port, path }, response => {
      response.on('data', () => undefined)
      response.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message))
      response.on('end', () => done(response.statusCode === 200 ? undefined : `status ${response.statusCode}`))
    })
    started.setTimeout(20_000, () => started.destroy(new Error('no answer within 20 s')))
    started.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message))
    started.end()
  })
}

/** Runs `requests` GETs over `connections` connections. */
export async function load({ port, path = '/', connections, requests, isOver = () => false }: LoadOptions): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const failures: Record<string, number> = {}
  let started = 0
  let answered = 0
  const lane = async (): Promise<void> => {
    while (started < requests && !isOver()) {
      started++
      const failure = await once(agent, port, path)
      if (failure === undefined) answered++
      else failures[failure] = (failures[failure] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: connections }, lane))
  agent.destroy()
  return { answered, failures }
}
