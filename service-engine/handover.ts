/**
 * How one engine process takes over from another on the same data folder, both serving the same ports meanwhile.
 *
 *   successor                               the one that runs
 *   connects                           -->  says what it holds: ports, verdicts
 *   serves the same snapshot from disk
 *   "serving"                          -->  lets go of controller, monitors, kernel and status socket
 *                                      <--  "released"; its listeners close, what is open drains, it ends
 *   connects to the controller
 *
 * A successor that ends before it said "serving" has changed nothing.
 */
import { execFile, spawn } from 'node:child_process'
import { unlinkSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { isSea } from 'node:sea'
import type { Verdict } from '#model/message/message.ts'
import { askEngine, throughDescriptor } from './control.ts'
import type { Place } from './ports.ts'

const SOCKET_NAME = 'handover.sock'
/** Many thousand servers fit. */
const LINE_MAX = 64 * 2 ** 20
const ANSWER_MS = 5_000
/** A successor that does not serve by then is given up. */
const TAKEOVER_MS = 60_000
const LOOK_MS = 50

export interface Holding {
  readonly places: readonly Place[]
  readonly verdicts: readonly { readonly poolId: string; readonly serverId: string; readonly verdict: Verdict }[]
}

export interface Offer {
  readonly close: () => void
}

/**
 * Lets a successor take over.
 *
 * Shapes  release: everything but what is open; called once, when the successor serves
 *         left: nothing more is to be told; now drain and end
 */
export function offerHandover(
  folder: string,
  side: { readonly holding: () => Holding; readonly release: () => Promise<void>; readonly left: () => void }
): Promise<Offer> {
  const held = throughDescriptor(folder, SOCKET_NAME)
  let isReleased = false
  const server = createServer(socket => {
    socket.on('error', () => undefined)
    if (isReleased) return void socket.destroy()
    socket.write(`${JSON.stringify(side.holding())}\n`)
    let said = ''
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.length > 64) return void socket.destroy()
      if (said !== 'serving\n' || isReleased) return
      isReleased = true
      void side.release().then(() => {
        socket.end('released\n')
        side.left()
      })
    })
  })
  return new Promise((resolve, reject) => {
    try {
      // Whoever holds the status socket of this folder is the one that runs: this one is left over.
      unlinkSync(held.path)
    } catch {
      // There was none.
    }
    server.once('error', error => {
      held.close()
      reject(error)
    })
    server.listen({ path: held.path }, () => {
      server.on('error', () => undefined)
      server.unref()
      resolve({
        close: () => {
          server.close()
          held.close()
        }
      })
    })
  })
}

export interface Predecessor {
  readonly holding: Holding
  /** We serve: resolves when the other one has let go. */
  readonly serving: () => Promise<void>
  /** We do not take over after all: it goes on. */
  readonly leave: () => void
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** Throws when it is not what an engine says. */
function readHolding(line: string): Holding {
  const value: unknown = JSON.parse(line)
  if (!isObject(value) || !Array.isArray(value['places']) || !Array.isArray(value['verdicts'])) throw new TypeError('not a holding')
  const places = value['places'].map((place: unknown): Place => {
    if (!isObject(place) || typeof place['address'] !== 'string' || typeof place['port'] !== 'number') throw new TypeError('not a place')
    const { address, port, protocol } = place
    return { address, port, ...(protocol === 'udp' ? { protocol } : {}) }
  })
  const verdicts = value['verdicts'].flatMap((one: unknown) => {
    if (!isObject(one) || typeof one['poolId'] !== 'string' || typeof one['serverId'] !== 'string') return []
    const { poolId, serverId, verdict } = one
    return verdict === 'up' || verdict === 'down' || verdict === 'unknown' ? [{ poolId, serverId, verdict } as const] : []
  })
  return { places, verdicts }
}

/** A line of a socket; rejects when it ends before, or says too much. */
function lineOf(socket: Socket, withinMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    const finish = (work: () => void): void => {
      clearTimeout(timer)
      socket.off('data', hear).off('close', gone)
      work()
    }
    const gone = (): void => finish(() => reject(new Error('the running engine ended the conversation')))
    const hear = (chunk: Buffer): void => {
      said += chunk.toString()
      const end = said.indexOf('\n')
      if (end >= 0) finish(() => resolve(said.slice(0, end)))
      else if (said.length > LINE_MAX) finish(() => reject(new Error('the running engine says too much')))
    }
    const timer = setTimeout(() => finish(() => reject(new Error('the running engine does not answer'))), withinMs)
    socket.on('data', hear).on('close', gone)
  })
}

/**
 * Turns to the engine that runs on a folder.
 *
 * Returns undefined when none runs there that can be taken over from
 */
export async function findPredecessor(folder: string): Promise<Predecessor | undefined> {
  const held = throughDescriptor(folder, SOCKET_NAME)
  const socket = connect({ path: held.path })
  socket.on('error', () => undefined)
  try {
    const holding = readHolding(await lineOf(socket, ANSWER_MS))
    return {
      holding,
      leave: () => void socket.destroy(),
      serving: async () => {
        socket.write('serving\n')
        try {
          await lineOf(socket, TAKEOVER_MS)
        } finally {
          socket.destroy()
        }
      }
    }
  } catch {
    socket.destroy()
    return undefined
  } finally {
    held.close()
  }
}

/** Under systemd: this process is the service's from now on, and the end of the other one is not the service's. */
export function tellServiceManager(notifySocket: string | undefined): Promise<void> {
  if (notifySocket === undefined || notifySocket === '') return Promise.resolve()
  return new Promise((resolve, reject) => {
    // Node cannot send datagrams to a Unix socket. Libraries of ours are not for a program of the host.
    const env = { PATH: '/usr/bin:/bin', NOTIFY_SOCKET: notifySocket }
    execFile('systemd-notify', [`--pid=${process.pid}`], { env, timeout: ANSWER_MS }, error => {
      if (error === null) resolve()
      else reject(new Error(`systemd could not be told of this process: ${error.message}`, { cause: error }))
    })
  })
}

/**
 * Starts a successor as a process of its own and waits until it has taken over.
 *
 * Throws  Error in words when it did not; then the one that ran runs on
 */
export async function startSuccessor(folder: string, mainFile: string): Promise<number> {
  const before = await askEngine(folder)
  if (typeof before !== 'object') throw new Error(`no engine runs on ${folder}`)
  const child = spawn(process.execPath, [...(isSea() ? [] : [mainFile]), 'takeover'], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit']
  })
  let ended = false
  child.once('exit', () => (ended = true))
  child.once('error', () => (ended = true))
  child.unref()
  const deadlineMs = performance.now() + TAKEOVER_MS
  for (;;) {
    const answer = await askEngine(folder, 500)
    if (typeof answer === 'object' && answer.pid === child.pid) return answer.pid
    if (ended) throw new Error(`the new engine ended before it took over; process ${before.pid} goes on`)
    if (performance.now() > deadlineMs) {
      child.kill('SIGKILL')
      throw new Error(`the new engine did not take over within ${TAKEOVER_MS / 1_000} s; process ${before.pid} goes on`)
    }
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}
