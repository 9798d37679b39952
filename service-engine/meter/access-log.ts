/**
 * Access records as JSON lines, to a file that rotates or to standard output. Lines come in batches from the workers,
 * wait in memory up to a bound, and what does not fit is dropped and counted.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, rmSync, write } from 'node:fs'
import type { Clock } from '#model/base/clock.ts'
import type { RecordBatch } from './record-lines.ts'

export interface AccessLog {
  /** Never waits, never throws. */
  readonly add: (batch: RecordBatch) => void
  /** Lines thrown away since the start. */
  readonly dropped: () => number
  /** Writes what waits, then closes. */
  readonly stop: () => Promise<void>
}

export interface AccessLogOptions {
  /** A file's path; `-` is standard output; '' writes nothing. */
  readonly path: string
  readonly clock: Clock
  /** A file that has grown beyond it is rotated. */
  readonly maxFileBytes?: number
  /** Files kept beside the current one: `<path>.1` is the newest. */
  readonly maxFiles?: number
  /** Bytes that may wait for the disk. */
  readonly maxWaitingBytes?: number
  readonly flushIntervalMs?: number
  readonly stdoutFd?: number
}

const nothing: AccessLog = { add: () => undefined, dropped: () => 0, stop: () => Promise.resolve() }

/** Opens the log. Throws what opening the file throws. */
export function openAccessLog(options: AccessLogOptions): AccessLog {
  const {
    path,
    clock,
    maxFileBytes = 64 * 1024 * 1024,
    maxFiles = 4,
    maxWaitingBytes = 8 * 1024 * 1024,
    flushIntervalMs = 250,
    stdoutFd = 1
  } = options
  if (path === '') return nothing
  const isFile = path !== '-'
  let fd = isFile ? openSync(path, 'a', 0o640) : stdoutFd
  let fileBytes = isFile ? fstatSync(fd).size : 0
  let waiting: RecordBatch[] = []
  let waitingBytes = 0
  let droppedLines = 0
  let isWriting = false
  let whenIdle: (() => void)[] = []

  const rotate = (): void => {
    rmSync(`${path}.${maxFiles}`, { force: true })
    for (let n = maxFiles - 1; n >= 0; n--) {
      try {
        renameSync(n === 0 ? path : `${path}.${n}`, `${path}.${n + 1}`)
      } catch {
        // There is no such file yet; or the folder cannot be written, and then the newest lines are worth more.
        if (n === 0) ftruncateSync(fd)
      }
    }
    const next = openSync(path, 'a', 0o640)
    closeSync(fd)
    fd = next
    fileBytes = fstatSync(fd).size
  }

  const finish = (lines: number, failed: boolean): void => {
    isWriting = false
    if (failed) droppedLines += lines
    if (waiting.length > 0) return flush()
    for (const call of whenIdle) call()
    whenIdle = []
  }

  function writeAll(bytes: Buffer, at: number, lines: number): void {
    write(fd, bytes, at, bytes.length - at, null, (error, written) => {
      if (error !== null) {
        // Standard output may be a pipe that is full for now.
        if (error.code === 'EAGAIN') return void clock.after(20, () => writeAll(bytes, at, lines))
        return finish(lines, true)
      }
      fileBytes += written
      if (at + written < bytes.length) return writeAll(bytes, at + written, lines)
      finish(lines, false)
    })
  }

  function flush(): void {
    if (isWriting || waiting.length === 0) return
    const batches = waiting
    waiting = []
    waitingBytes = 0
    isWriting = true
    try {
      if (isFile && fileBytes >= maxFileBytes) rotate()
    } catch {
      // A disk that is full or read-only: the old file goes on, or the write fails and is counted.
    }
    const lines = batches.reduce((sum, batch) => sum + batch.count, 0)
    writeAll(Buffer.concat(batches.map(batch => batch.lines)), 0, lines)
  }

  const stopTimer = clock.every(flushIntervalMs, flush)

  return {
    add: batch => {
      const { length } = batch.lines
      if (length === 0) return
      if (waitingBytes + length > maxWaitingBytes) {
        droppedLines += batch.count
        return
      }
      waiting.push(batch)
      waitingBytes += length
      if (waitingBytes > 64 * 1024) flush()
    },
    dropped: () => droppedLines,
    stop: async () => {
      stopTimer()
      flush()
      if (isWriting) {
        await new Promise<void>(resolve => {
          whenIdle.push(resolve)
          // A pipe that nobody reads must not hold up the end.
          clock.after(2_000, resolve)
        })
      }
      if (isFile && !isWriting) closeSync(fd)
    }
  }
}
