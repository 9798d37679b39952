import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, integer, list, ref, shape, text } from './common.ts'
import { parseCron } from './cron.ts'
import type { Violation } from './violation.ts'

const zeroUnwatched = { default: 0, min: 0, max: 10000000, special: { '0': 'not looked at' } } as const

export const scheduledScaling = shape('scheduled scaling', {
  cron_expression: text('When it begins: minute, hour, day, month, day of the week, in UTC.', { required: true, maxLength: 200 }),
  autoscaling_duration: integer('How long it lasts.', { default: 1, min: 1, max: 24, unit: 'h' }),
  desired_capacity: integer('Servers meanwhile, at least; load may ask for more.', { required: true, min: 0, max: 400 }),
  schedule_max_step: integer('Servers added at once for it, at most.', { default: 1, min: 1, max: 400 }),
  start_date: text('From then on, as ISO 8601; always when left out.', { maxLength: 40 }),
  end_date: text('Until then, as ISO 8601; for ever when left out.', { maxLength: 40 }),
  enable: flag('When false it is passed over.', { default: true })
})

export const serverautoscalepolicy = defineKind({
  kind: 'serverautoscalepolicy',
  title: 'Server scaling policy',
  titlePlural: 'Server scaling policies',
  description: 'How many servers the pools that name it should have, by load, schedule and forecast; a webhook is asked to make them.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    min_size: integer('Servers at least.', { default: 1, min: 0, max: 400, first: true }),
    max_size: integer('Servers at most.', { default: 400, min: 0, max: 400, first: true }),
    webhook_ref: ref('webhook', 'Who is asked for servers, and told which may go. Without it nothing is carried out. Not a field of Avi.', {
      first: true
    }),
    max_requests_per_server: integer('Requests each second that one server should get. Not a field of Avi.', {
      ...zeroUnwatched,
      first: true
    }),
    max_connections_per_server: integer('Open connections that one server should have. Not a field of Avi.', {
      ...zeroUnwatched,
      first: true
    }),
    max_latency: integer('95th percentile of answers above which a server is asked for. Not a field of Avi.', {
      ...zeroUnwatched,
      unit: 'ms'
    }),
    intelligent_autoscale: flag('Keep the two margins of spare capacity.', { default: false }),
    intelligent_scaleout_margin: integer('Spare capacity, of the load, below which servers are asked for.', {
      default: 20,
      min: 1,
      max: 99,
      unit: 'percent'
    }),
    intelligent_scalein_margin: integer('Spare capacity, of the load, that stays when servers go.', {
      default: 40,
      min: 1,
      max: 99,
      unit: 'percent'
    }),
    use_predicted_load: flag('Ask ahead of what the load of the days before teaches.', { default: false }),
    predictive_ahead: integer('How far ahead: as long as a server takes to come. Not a field of Avi.', {
      default: 15,
      min: 1,
      max: 240,
      unit: 'min'
    }),
    max_scaleout_adjustment_step: integer('Servers asked for at once, at most.', { default: 1, min: 1, max: 400 }),
    max_scalein_adjustment_step: integer('Servers taken away at once, at most.', { default: 1, min: 1, max: 400 }),
    scaleout_cooldown: integer('Time between two requests for servers.', { default: 300, min: 5, max: 86400, unit: 's' }),
    scalein_cooldown: integer('Time for which fewer must do, and between two steps.', { default: 300, min: 10, max: 86400, unit: 's' }),
    scheduled_scalings: list(each(scheduledScaling), 'Times at which there are more.', { maxItems: 50 })
  },
  unsupported: {
    delay_for_server_garbage_collection: 0,
    scalein_alertconfig_refs: [],
    scaleout_alertconfig_refs: []
  },
  check: body => {
    const violations: Violation[] = []
    const say = (pointer: string, message: string): void => void violations.push({ pointer, message })
    if (body.min_size > body.max_size) say('/min_size', `must not be above max_size (${body.max_size})`)
    if (body.intelligent_autoscale && body.intelligent_scalein_margin <= body.intelligent_scaleout_margin)
      say('/intelligent_scalein_margin', `must be above intelligent_scaleout_margin (${body.intelligent_scaleout_margin})`)
    for (const [i, { cron_expression: cron, start_date: start, end_date: end }] of (body.scheduled_scalings ?? []).entries()) {
      const at = `/scheduled_scalings/${i}`
      if (parseCron(cron) === undefined) say(`${at}/cron_expression`, 'must be five fields: minute, hour, day, month, day of the week')
      for (const [name, date] of Object.entries({ start_date: start, end_date: end }))
        if (date !== undefined && Number.isNaN(Date.parse(date))) say(`${at}/${name}`, 'must be a date as ISO 8601')
    }
    return violations
  }
})
export type ServerAutoScalePolicy = Written<typeof serverautoscalepolicy.fields>
export type FilledServerAutoScalePolicy = Filled<typeof serverautoscalepolicy.fields>
