/**
 * The privileged process: reads orders line by line, answers each, and removes its table when its input ends - also when the engine
 * was killed, because the kernel closes the pipe then.
 */
import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Writable } from 'node:stream'
import { systemClock } from '#model/base/clock.ts'
import { Announcer } from '../bgp/announce.ts'
import { Holder, serveHolder } from '../layer2/hold.ts'
import { hardwareAddressOf, sendDatagram, systemSetting } from '../layer2/network.ts'
import { readOrder } from './order.ts'
import { makeExecutor, type RunProgram } from './executor.ts'

const HOLD_ADDRESSES = 'addresses '

/** Instead of a table's name alone: the process holds addresses, and nothing else. */
export const holdAddresses = (table: string): string => `${HOLD_ADDRESSES}${table}`
/** It announces addresses, and nothing else. */
export const ANNOUNCE_ADDRESSES = 'routes'

/** Every name that is asked for; nothing of others is ever touched. */
const tableName = /^weir_[a-z0-9_]{1,64}$/
const ownTable = (name: string): string => {
  if (!tableName.test(name)) throw new RangeError(`not a table of an engine: ${name}`)
  return name
}
const MAX_LINE = 64 << 20
const MAX_WORK_LINE = 128
const RUN_TIMEOUT_MS = 20_000

/** Programs by absolute path of the system: an environment of somebody else decides nothing here. */
const PATH = '/usr/sbin:/sbin:/usr/bin:/bin'

export const runProgram = (program: 'nft' | 'conntrack' | 'ip', args: readonly string[], input: string): ReturnType<RunProgram> =>
  new Promise(done => {
    const options = { env: { PATH, LC_ALL: 'C' }, timeout: RUN_TIMEOUT_MS, killSignal: 'SIGKILL' as const, maxBuffer: MAX_LINE }
    const child = execFile(program, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
      done({ code, stdout, stderr: stderr === '' && error !== null ? error.message : stderr })
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })

export interface KernelProcess {
  readonly table: string
  readonly input: AsyncIterable<unknown>
  readonly output: Writable
  readonly run: RunProgram
}

/**
 * Serves until the input ends.
 *
 * Throws  RangeError for a table that is not one of ours
 */
export async function serveKernel({ table, input, output, run }: KernelProcess): Promise<void> {
  const executor = makeExecutor(ownTable(table), run)
  await executor.clear()
  output.on('error', () => undefined)
  let seen = ''
  const answer = async (line: string): Promise<void> => {
    const { sequence, order } = envelopeOf(line)
    const result = order === undefined ? { is: 'failed', reason: 'not an order' } : await executor.carryOut(order)
    output.write(`${JSON.stringify({ sequence, ...result })}\n`)
  }
  for await (const chunk of input) {
    seen += String(chunk)
    if (seen.length > MAX_LINE) break
    for (let end = seen.indexOf('\n'); end >= 0; end = seen.indexOf('\n')) {
      await answer(seen.slice(0, end))
      seen = seen.slice(end + 1)
    }
  }
  await executor.clear()
}

/**
 * The whole life of the process: until its standard input ends. A terminal's signal reaches every process of the group, and the engine lets
 * its clients end first: so signals end nothing here.
 */
export async function runKernelProcess(work: string): Promise<void> {
  ignoreSignals()
  process.stdin.setEncoding('utf8')
  await serve(work, process.stdin)
}

function ignoreSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
}

async function serve(work: string, input: AsyncIterable<unknown>): Promise<void> {
  // What is there already, or gone, hinders nothing after it.
  const ip = (lines: readonly string[]): ReturnType<RunProgram> => runProgram('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`)
  if (work === ANNOUNCE_ADDRESSES)
    return serveHolder(new Announcer({ ip, interfaces: networkInterfaces, clock: systemClock }), input, process.stdout)
  if (work.startsWith(HOLD_ADDRESSES)) {
    const host = {
      ip,
      nft: async (text: string) => (await runProgram('nft', ['-f', '-'], text)).code === 0,
      interfaces: networkInterfaces,
      setting: systemSetting,
      hardwareAddress: hardwareAddressOf,
      send: sendDatagram,
      clock: systemClock
    }
    return serveHolder(new Holder(host, ownTable(work.slice(HOLD_ADDRESSES.length))), input, process.stdout)
  }
  await serveKernel({ table: work, input, output: process.stdout, run: runProgram })
}

/** A connection that systemd accepted, as it tells the process that it starts for it. */
export interface Accepted {
  /** Its owner is the one user who may give orders. */
  readonly socketPath: string
  /** Name of the instance: the peer as the kernel knows it. */
  readonly instance: string
}

/**
 * Who connected, by the name that systemd gives the instance of a Unix socket (`Accept=` in systemd.socket(5)): number, process, user.
 *
 * Returns null when the kernel did not say who
 */
export function peerUidOf(instance: string): number | null {
  const uid = /^\d+(?:-\d+(?:_\d+)?)+-(\d{1,10})$/.exec(instance)?.[1]
  return uid === undefined ? null : Number(uid)
}

/**
 * Splits off the first line.
 *
 * Returns null when the input ends before, or the line has more than `maxLength` characters
 */
export async function splitFirstLine(
  input: AsyncIterable<unknown>,
  maxLength: number
): Promise<{ readonly line: string; readonly rest: AsyncIterable<unknown> } | null> {
  const chunks = input[Symbol.asyncIterator]()
  let seen = ''
  while (!seen.includes('\n')) {
    const { done, value } = await chunks.next()
    if (done === true || seen.length > maxLength) return null
    seen += String(value)
  }
  const end = seen.indexOf('\n')
  if (end > maxLength) return null
  const rest = async function* (): AsyncGenerator<unknown> {
    yield seen.slice(end + 1)
    yield* { [Symbol.asyncIterator]: () => chunks }
  }
  return { line: seen.slice(0, end), rest: rest() }
}

/**
 * The same life at a socket of systemd: the connection is both standard input and output, and its first line is the work.
 *
 * Throws  Error for a peer that is not the owner of the socket: root as well, whom no mode of a file keeps out
 */
export async function runKernelForPeer({ socketPath, instance }: Accepted): Promise<void> {
  ignoreSignals()
  const peer = peerUidOf(instance)
  if (peer === null || peer !== statSync(socketPath).uid) throw new Error(`orders of user ${peer ?? 'unknown'} are not taken`)
  process.stdin.setEncoding('utf8')
  const first = await splitFirstLine(process.stdin, MAX_WORK_LINE)
  if (first === null) throw new Error('the first line is not the name of a work')
  await serve(first.line, first.rest)
}

function envelopeOf(line: string): { readonly sequence: number; readonly order: ReturnType<typeof readOrder> } {
  try {
    const message: unknown = JSON.parse(line)
    if (typeof message !== 'object' || message === null || !('sequence' in message)) return { sequence: 0, order: undefined }
    const sequence = Number(message.sequence)
    return { sequence, order: 'order' in message ? readOrder(message.order) : undefined }
  } catch {
    return { sequence: 0, order: undefined }
  }
}
