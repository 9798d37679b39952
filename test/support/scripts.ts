/** Script sets to test with, and a sandbox. */
import type { ScriptEvent, ScriptSetSpec } from '#model/snapshot/snapshot.ts'
import { Sandbox, type Ask, type Program } from '#engine/dataplane/filter/script/sandbox.ts'
import { readQuickJs } from '#engine/quickjs-file.ts'

export function aScriptSet(programs: Partial<Record<ScriptEvent, string>>, given: Partial<ScriptSetSpec> = {}): ScriptSetSpec {
  return {
    id: 'vsdatascriptset-1',
    name: 'scripts',
    failsOpen: false,
    timeLimitMs: 100,
    programs: Object.entries(programs).map(([event, source]) => ({ event: event as ScriptEvent, source })),
    pools: {},
    poolGroups: {},
    stringGroups: {},
    ipGroups: {},
    ...given
  }
}

export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

export async function openSandbox(log: (line: string) => void = () => undefined): Promise<Sandbox> {
  const sandbox = new Sandbox({ readWasm: readQuickJs, cpuMs, nowMs: () => performance.now(), log })
  await sandbox.ready()
  return sandbox
}

export function aProgram(sandbox: Sandbox, source: string, given: { readonly timeLimitMs?: number; readonly ask?: Ask } = {}): Program {
  return sandbox.program({ name: 'scripts/HTTP_REQ', source, timeLimitMs: given.timeLimitMs ?? 50, ask: given.ask ?? (() => undefined) })
}

/** What a script is told of a request. */
export const factsOf = (request: Record<string, unknown> = {}, more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    event: 'request',
    service: 'shop',
    request: {
      method: 'GET',
      host: 'shop.test',
      version: '1.1',
      scheme: 'http',
      path: '/a/b',
      query: 'x=1',
      headers: ['user-agent', 'test', 'cookie', 'a=1; b=2'],
      ...request
    },
    client: { ip: '127.0.0.1', port: 40_000, localPort: 80 },
    tls: null,
    response: null,
    failure: null,
    ...more
  })
