/** From a policy to steps, and from a share to the members of a group. Pure. */
import type { FilledPoolGroupDeploymentPolicy } from '#model/resource/poolgroupdeploymentpolicy.ts'
import type { Json, JsonObject } from '#model/resource/kind.ts'

export interface OldMember {
  readonly pool: string
  /** As it was before the release. */
  readonly ratio: number
}

/** Whole ratios that divide a group: enough for half a percent among ten pools. */
const WHOLE = 1_000

/**
 * Shares of the new pool, in percent, growing. BLUE_GREEN has a step of 0 first, in which only the old pools are measured: with all
 * of the traffic on one side there is nothing at the same time to compare with.
 */
export function stepsOf(
  policy: Pick<FilledPoolGroupDeploymentPolicy, 'scheme' | 'steps' | 'test_traffic_ratio_rampup' | 'target_test_traffic_ratio'>
): number[] {
  const { scheme, steps = [], test_traffic_ratio_rampup: rampup, target_test_traffic_ratio: target } = policy
  const walked = steps.length > 0 ? [...steps] : scheme === 'BLUE_GREEN' ? [target] : []
  if (walked.length === 0) {
    for (let share = rampup; share < target; share += rampup) walked.push(share)
    walked.push(target)
  }
  return walked[0] === 100 ? [0, ...walked] : walked
}

/**
 * Ratios for a share of the new pool; the old pools keep theirs among each other as closely as whole numbers can.
 *
 * Units   share: percent
 * Returns integers 0..1000; an old pool that had traffic keeps some as long as the share leaves any
 */
export function ratiosOf(share: number, fresh: string, old: readonly OldMember[]): ReadonlyMap<string, number> {
  const sum = old.reduce((total, member) => total + member.ratio, 0)
  const left = WHOLE - share * 10
  const ratios = new Map<string, number>([[fresh, share * 10]])
  for (const { pool, ratio } of old) {
    const exact = sum === 0 ? 0 : (left * ratio) / sum
    ratios.set(pool, exact > 0 ? Math.max(1, Math.round(exact)) : 0)
  }
  return ratios
}

/** The members with other ratios and states; everything else of them stays as the operator wrote it. */
export function withRatios(
  members: readonly JsonObject[],
  ratios: ReadonlyMap<string, number>,
  stateOf: (pool: string) => string | undefined
): Json[] {
  return members.map(member => {
    const pool = member['pool_ref'] as string
    const ratio = ratios.get(pool)
    const state = stateOf(pool)
    return { ...member, ...(ratio === undefined ? {} : { ratio }), ...(state === undefined ? {} : { deployment_state: state }) }
  })
}
