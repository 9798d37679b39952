/** Ping by the system's own program, which has the right to send ICMP; without it the verdict stays unknown. */
import { execFile } from 'node:child_process'
import { down, legible, printable, up, type Probe, type ProbeResult } from '../probe.ts'

export interface Ran {
  /** Exit code; null when the program could not be started. */
  readonly code: number | null
  readonly output: string
}
export type RunPing = (args: readonly string[], timeoutMs: number) => Promise<Ran>

export const runPing: RunPing = (args, timeoutMs) =>
  new Promise(resolve => {
    execFile(
      'ping',
      [...args],
      { timeout: timeoutMs, maxBuffer: 16_384, env: { PATH: process.env['PATH'], LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ code: 0, output: stdout })
        resolve({ code: typeof error.code === 'number' ? error.code : error.code === 'ENOENT' ? null : 1, output: stderr || stdout })
      }
    )
  })

export function makePingProbe(run: RunPing): Probe {
  return {
    kind: 'ping',
    attempt: async ({ ip }, timeoutMs): Promise<ProbeResult> => {
      const seconds = Math.max(1, Math.ceil(timeoutMs / 1_000))
      const { code, output } = await run(['-n', '-q', '-c', '1', '-W', String(seconds), ip], timeoutMs + 500)
      if (code === 0) return { ...up('answered'), request: 'ICMP echo', answer: legible(output) }
      if (code === null) return { verdict: 'unknown', detail: 'ping is not available on this host' }
      // iputils: 1 = no answer, 2 = another error, such as no permission.
      if (code === 1) return down(`no answer within ${timeoutMs} ms`)
      if (/unreachable/i.test(output)) return down('network unreachable')
      return { verdict: 'unknown', detail: `ping is not available on this host (${printable(output)})` }
    }
  }
}
