import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { inTenant, text } from './common.ts'

export const webhook = defineKind({
  kind: 'webhook',
  title: 'Webhook',
  titlePlural: 'Webhooks',
  description: 'An address that the controller tells what it decides: a POST of JSON, signed when there is a token.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    callback_url: text('Where the POST goes. Redirects are not followed; addresses of the link and of the host itself are refused.', {
      required: true,
      first: true,
      maxLength: 2048
    }),
    verification_token: text('Secret that both sides know: X-Weir-Signature is the HMAC-SHA256 of the time and the body under it.', {
      secret: true,
      first: true,
      maxLength: 1024
    })
  },
  check: ({ callback_url: url }) => {
    const at = (message: string) => [{ pointer: '/callback_url', message }]
    if (!URL.canParse(url)) return at('must be an absolute URL')
    const { protocol, username, password } = new URL(url)
    if (protocol !== 'https:' && protocol !== 'http:') return at('must begin with https:// or http://')
    return username === '' && password === '' ? [] : at('must not hold a user or a password')
  }
})
export type Webhook = Written<typeof webhook.fields>
export type FilledWebhook = Filled<typeof webhook.fields>
