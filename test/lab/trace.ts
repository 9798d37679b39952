/** What is on a host, so that a test can say what an installer left there or did not touch. */
import type { Host } from './host.ts'

const passing = ['proc', 'sys', 'dev', 'run', 'tmp', 'var/log', 'var/lib/systemd', 'root/.cache']

/** Every file with kind, mode, owner, size, time of change and content's checksum where `withContent`; what passes by itself left out. */
export async function filesOf(host: Host, options: { readonly withTimes?: boolean } = {}): Promise<readonly string[]> {
  const pruned = passing.map(path => `-path /${path} -prune`).join(' -o ')
  const format = options.withTimes === true ? '%p %y %m %u %s %T@' : '%p %y %m %u'
  const ran = await host.shell(`find / -xdev ${pruned} -o -not -type d -printf '${format}\\n' -o -type d -printf '%p %y %m %u\\n'`)
  if (ran.code !== 0) throw new Error(`find on the host: ${ran.stderr}`)
  return ran.stdout.trim().split('\n').toSorted()
}

/** What is in one listing and not in the other, each with its sign. */
export function differences(before: readonly string[], after: readonly string[]): readonly string[] {
  const [was, is] = [new Set(before), new Set(after)]
  return [
    ...before.filter(line => !is.has(line)).map(line => `- ${line}`),
    ...after.filter(line => !was.has(line)).map(line => `+ ${line}`)
  ]
}
