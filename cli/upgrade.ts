/** An upgrade of engines as `weir upgrade` prints it. Pure. */
import type { UpgradeView } from '#model/resource/upgrade.ts'

/** One line of the whole, then one for each engine. */
export function formatUpgrade(upgrade: UpgradeView): string {
  const { serviceenginegroup_name: group, state, direction, version, engines, reason } = upgrade
  const done = engines.filter(engine => engine.state === 'DONE').length
  const where = direction === 'BACK' ? 'back' : `to ${version}`
  const widths = [Math.max(...engines.map(({ name }) => name.length)), Math.max(...engines.map(({ state: word }) => word.length))] as const
  const lines = engines.map(({ name, state: word, from, to, reason: why }) =>
    `  ${name.padEnd(widths[0])}  ${word.padEnd(widths[1])}  ${from.slice(0, 8) || '-'} -> ${to.slice(0, 8) || '-'}  ${why}`.trimEnd()
  )
  return [`${group} ${where}: ${state}, ${done} of ${engines.length} engines${reason === '' ? '' : `: ${reason}`}`, ...lines].join('\n')
}

/** Nothing goes on by itself: over, or somebody has to say something. */
export function isStanding({ state, ended_at: endedAt, engines }: UpgradeView): boolean {
  const isUnderWay = engines.some(one => ['MEASURING', 'ORDERED', 'WATCHING', 'GOING_BACK'].includes(one.state))
  return endedAt !== null || (state === 'PAUSED' && !isUnderWay)
}

/** It came to the end that was wanted. */
export const isGood = ({ state }: UpgradeView): boolean => state === 'DONE' || state === 'ROLLED_BACK'
