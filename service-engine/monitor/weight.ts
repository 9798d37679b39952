/** How much a server says that it can take: a share of its ratio, in percent. */
import { down, printable, up, type ProbeResult } from './probe.ts'

/**
 * Reads a share, `75` or `75%`.
 *
 * Returns 0 to 100, more is 100; undefined when it is no number
 */
export function parseWeight(text: string): number | undefined {
  const match = /^(\d{1,6})(?:\.\d{1,6})?\s*%?$/.exec(text.trim())
  return match === null ? undefined : Math.min(100, Number(match[1]))
}

/**
 * Reads the line of an agent: words parted by spaces, tabs or commas. `75%` is a share, `drain` the share 0; `up` and `ready` say
 * that the server works, `down`, `stopped`, `fail` and `maint` that it does not, with a reason after `#`.
 *
 * Source  HAProxy's agent-check, of which it takes what a health monitor can act on
 */
export function parseAgentLine(answer: string): ProbeResult {
  const [line = ''] = answer.split(/[\r\n]/)
  const [said = '', reason = ''] = line.split('#')
  let weightPercent: number | undefined
  let isKnown = false
  for (const word of said.toLowerCase().split(/[\s,]+/)) {
    const share = word.endsWith('%') ? parseWeight(word) : undefined
    if (share !== undefined) weightPercent = share
    else if (word === 'drain') weightPercent = 0
    else if (word === 'maint') return down('maintenance')
    else if (word === 'down' || word === 'stopped' || word === 'fail')
      return down(reason === '' ? `the agent says ${word}` : `the agent says ${word}: ${reason}`)
    else if (word !== 'up' && word !== 'ready') continue
    isKnown = true
  }
  if (!isKnown) return down(line === '' ? 'closed without an answer' : `the agent answered "${printable(line)}"`)
  return weightPercent === undefined ? up('the agent says up') : { ...up(`the agent says ${weightPercent} %`), weightPercent }
}
