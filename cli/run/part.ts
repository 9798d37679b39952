/** One process of `make run`: started, its log kept in bounded files, started again when it dies. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, renameSync, statSync, type WriteStream } from 'node:fs'

const LOG_BYTES = 8 * 1024 * 1024
const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 5_000
/** A part that ran for so long has recovered: its next death is restarted at once again. */
const STEADY_MS = 10_000
/** After SIGTERM; a part that has not gone by then is killed. */
const STOP_MS = 10_000

export interface PartOptions {
  readonly name: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly logPath: string
  readonly onMessage: (message: unknown, part: Part) => void
  /** An exit that no restart can mend (code 2: the part said in one line what is wrong). */
  readonly onRefused: (line: string) => void
}

const hasTakenOver = (message: unknown): boolean =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'took-over'

export class Part {
  readonly #options: PartOptions
  #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
  #restart: NodeJS.Timeout | undefined
  #log: WriteStream | undefined
  #logBytes = 0
  #deaths = 0
  #isStopping = false
  /** Those that were replaced and end what is open. */
  readonly #leaving = new Set<ChildProcess>()
  #successor: ChildProcess | undefined

  constructor(options: PartOptions) {
    this.#options = options
    this.#env = options.env
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(): void {
    this.#child = this.#spawn([])
  }

  /**
   * Starts a successor of a part that knows how to take over; the one that runs goes on until the successor says that it has, and
   * when it never does.
   */
  replace(): void {
    if (this.#isStopping || this.#child === undefined || this.#successor !== undefined) return
    const successor = this.#spawn(['takeover'])
    this.#successor = successor
    successor.on('message', message => {
      if (!hasTakenOver(message) || this.#successor !== successor) return
      this.#successor = undefined
      const before = this.#child
      this.#child = successor
      if (before === undefined) return
      this.#leaving.add(before)
      before.once('close', () => this.#leaving.delete(before))
    })
  }

  #spawn(more: readonly string[]): ChildProcess {
    const startedMs = performance.now()
    const child = spawn(process.execPath, [...this.#options.args, ...more], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    let lastLine = ''
    const keep = (chunk: Buffer): void => {
      lastLine = chunk.toString().trimEnd().split('\n').at(-1) ?? lastLine
      this.#write(chunk)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    child.on('message', message => this.#options.onMessage(message, this))
    child.on('error', error => this.#write(Buffer.from(`${error.message}\n`)))
    child.on('close', (code, signal) => {
      if (this.#successor === child) {
        this.#successor = undefined
        this.#write(Buffer.from(`${this.#options.name} was not replaced: its successor ended (${signal ?? code})\n`))
      }
      if (this.#child !== child) return
      this.#child = undefined
      if (this.#isStopping) return
      if (code === 2) {
        this.#options.onRefused(lastLine || `${this.#options.name} ended with code 2`)
        return
      }
      this.#deaths = performance.now() - startedMs > STEADY_MS ? 1 : this.#deaths + 1
      const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (this.#deaths - 1))
      this.#write(Buffer.from(`${this.#options.name} ended (${signal ?? code}), started again in ${delayMs} ms\n`))
      this.#restart = setTimeout(() => this.start(), delayMs)
    })
    return child
  }

  /** For the next start: what the part was told once (a join token) or has to keep (a port). */
  setEnv(more: NodeJS.ProcessEnv): void {
    this.#env = { ...this.#env, ...more }
  }

  send(message: object): void {
    if (this.#child?.connected) this.#child.send(message)
  }

  stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#restart)
    for (const one of [...this.#leaving, this.#successor]) one?.kill('SIGKILL')
    const child = this.#child
    return new Promise(done => {
      const end = (): void => {
        if (this.#log) this.#log.end(done)
        else done()
      }
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
        end()
        return
      }
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      child.once('close', () => {
        clearTimeout(kill)
        end()
      })
      child.kill('SIGTERM')
    })
  }

  /** Appends to the log file; a full one becomes `.1`, which replaces the one before. */
  #write(chunk: Buffer): void {
    const { logPath } = this.#options
    if (this.#log === undefined) {
      this.#logBytes = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0
      this.#log = this.#openLog()
    }
    if (this.#logBytes > LOG_BYTES) {
      this.#log.end()
      renameSync(logPath, `${logPath}.1`)
      this.#logBytes = 0
      this.#log = this.#openLog()
    }
    this.#logBytes += chunk.length
    this.#log.write(chunk)
  }

  #openLog(): WriteStream {
    const log = createWriteStream(this.#options.logPath, { flags: 'a', mode: 0o600 })
    // A full disk must not end what is running.
    log.on('error', () => undefined)
    return log
  }
}
