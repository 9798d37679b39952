/** Puts the load of a case on a proxy for a while, and reads what the load's program says. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Load } from './case.ts'
import type { ClientOrder, ClientResult } from './client.ts'
import { SERVER_NAME, type Front } from './peer.ts'
import { rssBytes, type Program, type Programs } from './program.ts'

export interface LoadPlace {
  readonly fronts: readonly Front[]
  readonly isTls: boolean
  readonly seconds: number
  readonly programs: Programs
  readonly core: number | null
  /** For scripts and logs of the load. */
  readonly folder: string
}

export type LoadResult = ClientResult

/** What a program needs beyond its own seconds to start, connect and end. */
const SPARE_MS = 30_000

const firstOf = (fronts: readonly Front[]): Front => {
  const [front] = fronts
  if (front === undefined) throw new Error('nothing to put a load on')
  return front
}

const urlOf = ({ fronts, isTls }: LoadPlace, path: string): string => {
  const { address, port } = firstOf(fronts)
  return `${isTls ? 'https' : 'http'}://${address}:${port}${path}`
}

const unitsMs: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }

/**
 * Milliseconds of a duration as wrk writes it: `635.91us`, `4.01ms`, `1.20s`.
 *
 * Returns NaN for what is no duration
 */
export function durationMs(text: string): number {
  const [, value, unit = ''] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? []
  return Number(value) * (unitsMs[unit] ?? NaN)
}

/** Reads what wrk prints with `--latency`. */
export function readWrk(text: string): LoadResult {
  const find = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? ''
  const errors: Record<string, number> = {}
  const badStatus = Number(find(/Non-2xx or 3xx responses: (\d+)/))
  if (badStatus > 0) errors['status'] = badStatus
  const [, ...counts] = /connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? []
  for (const [i, kind] of ['connect', 'read', 'write', 'timeout'].entries())
    if (Number(counts[i] ?? 0) > 0) errors[kind] = Number(counts[i])
  return {
    units: Number(find(/(\d+) requests in /)),
    seconds: durationMs(find(/requests in ([^,\s]+),/)) / 1_000,
    p50Ms: durationMs(find(/50%\s+(\S+)/)),
    p99Ms: durationMs(find(/99%\s+(\S+)/)),
    errors
  }
}

/** Reads what h2load prints, and its log of one line for each request: start, status, microseconds. */
export function readH2load(text: string, log: string): LoadResult {
  const [, done, failed] = /(\d+) succeeded, (\d+) failed/.exec(text) ?? []
  const latencies = Float64Array.from(
    log.split('\n').flatMap(line => {
      const us = Number(line.split('\t')[2])
      return line === '' || Number.isNaN(us) ? [] : [us / 1_000]
    })
  ).toSorted()
  const at = (ratio: number): number => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * ratio))] ?? 0
  return {
    units: Number(done ?? 0),
    seconds: durationMs(/finished in ([^,\s]+),/.exec(text)?.[1] ?? '') / 1_000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    errors: Number(failed ?? 0) > 0 ? { failed: Number(failed) } : {}
  }
}

/** wrk's threads each take another of the addresses. */
function wrkScript(fronts: readonly Front[]): string {
  const list = fronts.map(({ address, port }) => `{ "${address}", "${port}" }`).join(', ')
  return `local fronts = { ${list} }
local n = 0
function setup(thread)
  local front = fronts[n % #fronts + 1]
  n = n + 1
  thread.addr = wrk.lookup(front[1], front[2])[1]
end
`
}

async function runWrk({ path, connections, threads }: Extract<Load, { by: 'wrk' }>, place: LoadPlace): Promise<LoadResult> {
  const { programs, core, folder, seconds, fronts } = place
  const args = [`-t${threads}`, `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '10s']
  if (threads > 1) {
    const script = join(folder, 'wrk.lua')
    // Spread over all of them: the first eight could be lucky.
    const step = Math.max(1, Math.floor(fronts.length / threads))
    writeFileSync(script, wrkScript(Array.from({ length: threads }, (_, i) => fronts[(i * step) % fronts.length]!)))
    args.push('-s', script)
  }
  const order = { name: 'wrk', command: 'wrk', args: [...args, urlOf(place, path)], core, stderrPath: join(folder, 'load.log') }
  return readWrk(await programs.run(order, seconds * 1_000 + SPARE_MS))
}

async function runH2load(load: Extract<Load, { by: 'h2load' }>, place: LoadPlace): Promise<LoadResult> {
  const { programs, core, folder, seconds } = place
  const logPath = join(folder, 'h2load.log')
  rmSync(logPath, { force: true })
  const args = ['-t1', `-c${load.connections}`, `-m${load.streams}`, '-D', String(seconds), `--log-file=${logPath}`]
  if (load.isGrpc) {
    const message = join(folder, 'message.bin')
    writeFileSync(message, Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, 120)]))
    args.push('-d', message, '-H', 'content-type: application/grpc', '-H', 'te: trailers')
  }
  const order = { name: 'h2load', command: 'h2load', args: [...args, urlOf(place, load.path)], core, stderrPath: join(folder, 'load.log') }
  const text = await programs.run(order, seconds * 1_000 + SPARE_MS)
  return readH2load(text, readFileSync(logPath, 'utf8'))
}

const clientPath = join(import.meta.dirname, 'client.ts')

function clientOf({ programs, core, folder }: LoadPlace, order: ClientOrder) {
  return {
    programs,
    order: {
      name: 'client',
      command: process.execPath,
      args: [clientPath, JSON.stringify(order)],
      core,
      stderrPath: join(folder, 'load.log')
    }
  }
}

function orderOf(load: Exclude<Load, { by: 'wrk' | 'h2load' }>, { fronts, seconds }: LoadPlace): ClientOrder {
  const { address: host, port } = firstOf(fronts)
  return { host, port, seconds, ...load, ...(load.by === 'handshakes' ? { serverName: SERVER_NAME } : {}) } as ClientOrder
}

/** One load from its start to its end. */
export async function runLoad(load: Exclude<Load, { by: 'idle' }>, place: LoadPlace): Promise<LoadResult> {
  if (load.by === 'wrk') return runWrk(load, place)
  if (load.by === 'h2load') return runH2load(load, place)
  const { programs, order } = clientOf(place, orderOf(load, place))
  return JSON.parse(await programs.run(order, place.seconds * 1_000 + SPARE_MS)) as LoadResult
}

/** Memory is read when it has settled: some of it is given back only after a while. */
const SETTLE_MS = 2_000

/** Opens idle connections, reads the proxy's memory while they are held, and closes them. */
export async function holdIdle(
  load: Extract<Load, { by: 'idle' }>,
  place: LoadPlace,
  proxy: Program
): Promise<LoadResult & { readonly rssBefore: number; readonly rssHeld: number }> {
  const rssBefore = rssBytes(proxy.pid)
  const { programs, order } = clientOf(place, orderOf(load, place))
  const client = programs.start(order)
  try {
    const line = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the connections were not open in time')), place.seconds * 1_000 + SPARE_MS)
      let text = ''
      client.child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (!text.includes('\n')) return
        clearTimeout(timer)
        resolve(text)
      })
      void client.ended.then(() => {
        clearTimeout(timer)
        reject(new Error(`the client ended: ${client.ending()}`))
      })
    })
    await new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    return { ...(JSON.parse(line) as LoadResult), rssBefore, rssHeld: rssBytes(proxy.pid) }
  } finally {
    await client.stop()
  }
}
