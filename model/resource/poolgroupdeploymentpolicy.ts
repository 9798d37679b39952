import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, integer, list, number, oneOf, ref, shape } from './common.ts'
import type { Violation } from './violation.ts'

/** What a rule may look at: figures of the new pool within a step. */
export const releaseMetrics = [
  'health.health_score_value',
  'l7_server.pct_response_errors',
  'l7_server.avg_resp_latency',
  'l7_server.pct50_latency',
  'l7_server.pct95_latency'
] as const
export type ReleaseMetric = (typeof releaseMetrics)[number]

export const deploymentRule = shape('deployment rule', {
  metric_id: oneOf(releaseMetrics, 'Figure of the new pool within a step: score, percent of errors, milliseconds.', {
    default: 'health.health_score_value'
  }),
  operator: oneOf(['CO_GE', 'CO_GT', 'CO_LE', 'CO_LT', 'CO_EQ', 'CO_NE'], 'How the figure must stand to the threshold.', {
    default: 'CO_GE'
  }),
  threshold: number('What it is compared with.', { required: true })
})
export type DeploymentRule = (typeof poolgroupdeploymentpolicy.fields.rules.filled & {})[number]

export const poolgroupdeploymentpolicy = defineKind({
  kind: 'poolgroupdeploymentpolicy',
  title: 'Release policy',
  titlePlural: 'Release policies',
  description: 'How a new pool of a pool group takes over: steps of its share, each judged against the old pools at the same time.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    scheme: oneOf(['BLUE_GREEN', 'CANARY'], 'CANARY walks the share up; BLUE_GREEN measures the old pools and then moves all at once.', {
      default: 'BLUE_GREEN',
      first: true
    }),
    test_traffic_ratio_rampup: integer('CANARY: how much each step adds to the share of the new pool.', {
      default: 100,
      min: 1,
      max: 100,
      unit: 'percent',
      first: true
    }),
    target_test_traffic_ratio: integer('Share of the new pool at the last step before it is made the one in service.', {
      default: 100,
      min: 1,
      max: 100,
      unit: 'percent',
      first: true
    }),
    steps: list(integer('A share.', { min: 1, max: 100 }), 'Shares of the new pool, growing, in place of those of the two fields above.', {
      maxItems: 100
    }),
    evaluation_duration: integer('How long each step is measured before it is judged.', {
      default: 300,
      min: 1,
      max: 86400,
      unit: 's',
      first: true
    }),
    rules: list(each(deploymentRule), 'What must hold of the new pool at the end of each step, beside the comparison.', { maxItems: 20 }),
    minimum_requests: integer('Requests that either side must have had before a step is judged.', { default: 100, min: 10, max: 1000000 }),
    max_extensions: integer('How often a step is measured for one duration more while its figures prove too little.', {
      default: 3,
      min: 0,
      max: 100
    }),
    too_few_requests: oneOf(['PAUSE', 'ROLL_BACK', 'GO_ON'], 'What becomes of a step that still has too few requests then.', {
      default: 'PAUSE'
    }),
    max_error_increase: number('Percentage points by which the error ratio of the new pool may lie above that of the old ones.', {
      default: 0.5,
      min: 0,
      max: 100,
      unit: 'percent'
    }),
    max_latency_increase: integer('Percent by which the new pool may be slower than the old ones.', {
      default: 20,
      min: 0,
      max: 10000,
      unit: 'percent'
    }),
    max_health_drop: integer('Points by which the health score of the new pool may lie below that of the old ones.', {
      default: 20,
      min: 0,
      max: 100
    }),
    confidence: integer('How sure a difference must be before it counts as one.', { default: 95, min: 80, max: 99, unit: 'percent' }),
    auto_disable_old_prod_pools: flag(
      'The old pools are out of service after the release; else the shares of the last step stay as they are.',
      { default: true }
    ),
    webhook_ref: ref('webhook', 'Who is told of every decision.', {})
  },
  check: ({ steps = [] }) =>
    steps.flatMap((share, i): Violation[] =>
      i > 0 && share <= steps[i - 1]! ? [{ pointer: `/steps/${i}`, message: 'must be more than the step before it' }] : []
    )
})
export type PoolGroupDeploymentPolicy = Written<typeof poolgroupdeploymentpolicy.fields>
export type FilledPoolGroupDeploymentPolicy = Filled<typeof poolgroupdeploymentpolicy.fields>
