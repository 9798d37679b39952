/** `virtualservice.placement`: what one service asks of its engines, beyond its group. Not a field of Avi. */
import type { Written } from './field.ts'
import { integer, oneOf, shape, textByName } from './common.ts'
import type { Violation } from './violation.ts'

export const placementWish = shape('placement', {
  min_scale: integer('Engines that it runs on at least; that of the group when left out.', { min: 1, max: 64, first: true }),
  max_scale: integer('Engines that it is scaled out to at most; that of the group when left out.', { min: 1, max: 64 }),
  anti_affinity: oneOf(
    ['host', 'zone'],
    'No two of its engines on one host, or in one zone, whatever it costs. The zone of an engine is its label zone; its host is its label host, or the name of its host.',
    {}
  ),
  se_selector: textByName('Labels that its engines have.', {})
})
export type PlacementWish = Written<typeof placementWish.fields>

export function placementViolations(wish: PlacementWish | undefined): Violation[] {
  if (wish?.min_scale === undefined || wish.max_scale === undefined || wish.min_scale <= wish.max_scale) return []
  return [{ pointer: '/placement/max_scale', message: 'must not be less than min_scale' }]
}
