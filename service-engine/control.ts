/**
 * The socket by which `status` asks a running engine, and by which two engines never share a data folder: who holds it
 * answers. It is named through the folder's descriptor, because the path of a socket may have only 107 bytes.
 */
import { closeSync, openSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'

const SOCKET_NAME = 'engine.sock'
const ANSWER_MAX_LENGTH = 65_536

export interface ControlAnswer {
  readonly pid: number
  readonly isUp: boolean
  /** One line for a person. */
  readonly line: string
}

export interface Control {
  readonly close: () => void
}

export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning'
}

/** The path of a socket in a folder, as long as it is not closed. */
export interface Held {
  readonly path: string
  readonly close: () => void
}

export function throughDescriptor(folder: string, name = SOCKET_NAME): Held {
  const descriptor = openSync(folder, 'r')
  let isOpen = true
  return {
    path: join('/proc/self/fd', String(descriptor), name),
    close: () => {
      if (isOpen) closeSync(descriptor)
      isOpen = false
    }
  }
}

function listen(path: string, answer: () => ControlAnswer): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => {
      socket.on('error', () => undefined)
      socket.end(`${JSON.stringify(answer())}\n`)
    })
    server.once('error', reject)
    server.listen({ path }, () => {
      server.removeListener('error', reject)
      server.on('error', () => undefined)
      server.unref()
      resolve(server)
    })
  })
}

function isAnswer(value: unknown): value is ControlAnswer {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    typeof value.pid === 'number' &&
    'isUp' in value &&
    typeof value.isUp === 'boolean' &&
    'line' in value &&
    typeof value.line === 'string'
  )
}

function ask(path: string, timeoutMs: number): Promise<ControlAnswer | 'silent' | 'nobody'> {
  return new Promise(resolve => {
    let text = ''
    const socket = connect({ path })
    const finish = (answer: ControlAnswer | 'silent' | 'nobody'): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => finish('silent'), timeoutMs)
    socket.on('error', () => finish('nobody'))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.length > ANSWER_MAX_LENGTH) finish('silent')
    })
    socket.on('end', () => {
      try {
        const value: unknown = JSON.parse(text)
        finish(isAnswer(value) ? value : 'silent')
      } catch {
        finish('silent')
      }
    })
  })
}

/**
 * Asks the engine that runs on a data folder.
 *
 * Returns `silent` when one holds the folder and does not answer in time; `nobody` when none runs
 */
export async function askEngine(folder: string, timeoutMs = 2_000): Promise<ControlAnswer | 'silent' | 'nobody'> {
  let held: Held
  try {
    held = throughDescriptor(folder)
  } catch {
    return 'nobody'
  }
  try {
    return await ask(held.path, timeoutMs)
  } finally {
    held.close()
  }
}

/**
 * Takes the data folder for this process and answers who asks, until closed or until the process ends.
 *
 * Throws  AlreadyRunning when another engine holds it; what the system says when the folder cannot be used
 */
export async function openControl(folder: string, answer: () => ControlAnswer): Promise<Control> {
  const held = throughDescriptor(folder)
  try {
    const server = await take(held.path, answer, 3)
    return {
      close: () => {
        server.close()
        held.close()
      }
    }
  } catch (error) {
    held.close()
    throw error
  }
}

async function take(path: string, answer: () => ControlAnswer, attempts: number): Promise<Server> {
  try {
    const server = await listen(path, answer)
    // Two starting at once may both have found the socket of a dead one: the name has only one of them now.
    const seen = await ask(path, 2_000)
    if (typeof seen === 'object' && seen.pid === answer().pid) return server
    // Not closed: that would remove the name, which is the other's. It ends with this process.
    throw new AlreadyRunning('another engine was started on it at the same moment')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempts <= 0) throw error
    const other = await ask(path, 2_000)
    if (other !== 'nobody')
      throw new AlreadyRunning(typeof other === 'object' ? `process ${other.pid} runs on it` : 'another engine runs on it')
    try {
      unlinkSync(path)
    } catch {
      // Somebody else removed it.
    }
    return take(path, answer, attempts - 1)
  }
}
