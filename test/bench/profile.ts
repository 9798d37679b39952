/** Where the engine's time went: `node profile.ts <folder of --profile> [lines]` prints each thread's busiest functions. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  /** Ids of nodes, one for each sample. */
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

const waiting = new Set(['(idle)', '(program)', '(root)'])

/** Busy microseconds of each function by itself, most first; waiting is left out. */
function selfTimes(profile: CpuProfile): readonly (readonly [name: string, us: number])[] {
  const nameOf = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.split('/').slice(-2).join('/')
      return [id, `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`]
    })
  )
  const times = new Map<string, number>()
  for (const [i, id] of profile.samples.entries()) {
    const name = nameOf.get(id) ?? '?'
    if (!waiting.has(name)) times.set(name, (times.get(name) ?? 0) + (profile.timeDeltas[i] ?? 0))
  }
  return [...times].toSorted((a, b) => b[1] - a[1])
}

const [folder, lines = '25'] = process.argv.slice(2)
if (folder === undefined) throw new Error('which folder?')
for (const file of readdirSync(folder).filter(name => name.endsWith('.cpuprofile'))) {
  const times = selfTimes(JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile)
  const busyUs = times.reduce((sum, [, us]) => sum + us, 0)
  console.log(`${file}: busy for ${Math.round(busyUs / 1_000)} ms`)
  for (const [name, us] of times.slice(0, Number(lines))) console.log(`  ${((us / busyUs) * 100).toFixed(1).padStart(5)} %  ${name}`)
}
