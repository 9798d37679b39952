/** Engines that a process driver made, as the host sees them. */
import { readdirSync, readFileSync } from 'node:fs'

/** Processes of engines whose data folder lies below: name -> process ids, without what an engine starts for itself. */
export function enginesBelow(folder: string): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const data = /(?:^|\0)WEIR_DATA=([^\0]+)/.exec(readFileSync(`/proc/${entry}/environ`, 'utf8'))?.[1] ?? ''
      if (!data.startsWith(`${folder}/engines/`) || / [ZX] /.test(readFileSync(`/proc/${entry}/stat`, 'utf8'))) continue
      const name = data.slice(`${folder}/engines/`.length)
      found.set(name, [...(found.get(name) ?? []), Number(entry)])
    } catch {
      // It ended meanwhile.
    }
  }
  return found
}
