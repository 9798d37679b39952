/** Which other sites' pages may read answers: the Fetch standard's CORS. */
import { flag, headerName, integer, list, oneOf, shape, text } from './common.ts'
import type { FilledShape } from './field.ts'
import { methods } from './match.ts'
import type { Violation } from './violation.ts'

const origin = text('An origin: https://shop.test, https://*.shop.test, or * for every one.', {
  maxLength: 255,
  pattern: '^(\\*|https?://(\\*\\.)?[A-Za-z0-9._-]+(:[0-9]{1,5})?|https?://\\[[0-9A-Fa-f:.]+\\](:[0-9]{1,5})?)$',
  say: 'must be an origin: scheme, host and port, without a path'
})
const header = text('Name of a header.', headerName)

export const corsPolicy = shape('CORS policy', {
  allowed_origins: list(origin, 'Sites whose pages may read answers.', { required: true, minItems: 1, maxItems: 100 }),
  allowed_methods: list(oneOf(methods, 'A method.', {}), 'Methods that they may use; GET, HEAD and POST when left out.', { maxItems: 16 }),
  allowed_headers: list(header, 'Headers that they may send; those that are asked for when left out.', { maxItems: 100 }),
  exposed_headers: list(header, 'Headers of answers that they may read.', { maxItems: 100 }),
  allow_credentials: flag('They may send cookies.', { default: false }),
  max_age: integer('How long a browser may keep the answer to its question.', { default: 600, min: 0, max: 86400, unit: 's' })
})

/** Everybody's pages with the cookies of ours would be everybody's hands. */
export function corsViolations(policy: FilledShape<typeof corsPolicy> | undefined): Violation[] {
  return policy?.allow_credentials === true && policy.allowed_origins.includes('*')
    ? [{ pointer: '/cors_policy/allowed_origins', message: 'must name its sites, because allow_credentials is true' }]
    : []
}
