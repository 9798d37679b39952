/** The one place that knows whether a data-plane worker starts from its source file or from an asset of the self-contained file. */
import { totalmem } from 'node:os'
import { getAsset, isSea } from 'node:sea'
import { Worker } from 'node:worker_threads'

export const WORKER_ASSET = 'worker.mjs'

/** Half of the host for all workers together, but enough for one to work with; a worker that needs more is replaced. */
function heapMegabytes(workers: number): number {
  return Math.round(Math.min(4_096, Math.max(256, totalmem() / 2 / workers / 1_048_576)))
}

/** Starts a worker thread with its first data. A Worker cannot be started by URL inside the self-contained file. */
export function startWorker(workerData: unknown, workers: number): Worker {
  const options = { workerData, resourceLimits: { maxOldGenerationSizeMb: heapMegabytes(workers) } }
  return isSea()
    ? new Worker(getAsset(WORKER_ASSET, 'utf8'), { ...options, eval: true })
    : new Worker(new URL('worker.ts', import.meta.url), options)
}
