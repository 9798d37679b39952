/** Ordinary clients in a thread of their own, that say how long they wait while others misbehave. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Test } from 'tap'

export interface CanarySaw {
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
  /** What was no answer with status 200. */
  readonly failures: readonly string[]
}

export interface Canary {
  /** What was seen since it was last asked. */
  readonly ask: () => Promise<CanarySaw>
}

export interface CanaryOrder {
  readonly port: number
  readonly path?: string
  readonly connections: number
  /** Between an answer and the next request; 0: at once. */
  readonly restMs: number
}

export async function openCanary(t: Pick<Test, 'teardown'>, order: CanaryOrder): Promise<Canary> {
  const thread = new Worker(new URL(import.meta.url), { workerData: { canary: order } })
  t.teardown(() => thread.terminate())
  await once(thread, 'message')
  return {
    ask: async () => {
      thread.postMessage('ask')
      const [saw] = (await once(thread, 'message')) as [CanarySaw]
      return saw
    }
  }
}

function run({ port, path = '/', connections, restMs }: CanaryOrder): void {
  let waits: number[] = []
  let failures: string[] = []
  const request = `GET ${path} HTTP/1.1\r\nHost: canary\r\n\r\n`
  const open = (): void => {
    const socket = connect(port, '127.0.0.1')
    let sentMs = 0
    let isAsking = false
    let seen = ''
    const send = (): void => {
      sentMs = performance.now()
      isAsking = true
      socket.write(request)
    }
    socket
      .setNoDelay(true)
      .on('connect', send)
      .on('data', chunk => {
        seen += chunk.toString('latin1')
        if (!seen.endsWith('\r\n\r\nok')) return
        if (!seen.startsWith('HTTP/1.1 200 ')) failures.push(seen.slice(0, 40))
        seen = ''
        isAsking = false
        waits.push(performance.now() - sentMs)
        if (restMs === 0) send()
        else setTimeout(send, restMs)
      })
      .on('error', () => undefined)
      .on('close', () => {
        if (isAsking) failures.push(`closed after: ${seen.slice(0, 40)}`)
        open()
      })
  }
  for (let i = 0; i < connections; i++) open()
  parentPort?.on('message', () => {
    const sorted = Float64Array.from(waits).toSorted()
    const at = (ratio: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0
    const saw: CanarySaw = {
      requests: sorted.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      p999Ms: at(0.999),
      maxMs: sorted.at(-1) ?? 0,
      failures: failures.slice(0, 20)
    }
    waits = []
    failures = []
    parentPort?.postMessage(saw)
  })
  parentPort?.postMessage('open')
}

const given = workerData as { readonly canary?: CanaryOrder } | null
if (!isMainThread && given?.canary !== undefined) run(given.canary)
