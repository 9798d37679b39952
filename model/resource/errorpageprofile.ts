import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, integer, list, nested, oneOf, ref, shape, text } from './common.ts'
import { statusMatch } from './match.ts'
import type { Violation } from './violation.ts'

export const errorPage = shape('error page', {
  index: integer('Order among the pages; the first that matches is sent.', { default: 0 }),
  enable: flag('When false the page is passed over.', { default: true }),
  match: nested(statusMatch, 'Statuses that it is for; all errors when left out.', { first: true }),
  error_page_body_ref: ref('errorpagebody', 'What is sent.', { first: true }),
  error_redirect: text('Where the client is sent instead, by a 302.', {
    pattern: '^[\\u0021-\\u007e]*$',
    say: 'must be a URL without spaces'
  })
})

export const errorpageprofile = defineKind({
  kind: 'errorpageprofile',
  title: 'Error pages',
  titlePlural: 'Error pages',
  description: 'What clients see instead of the plain error answers of Weir itself; answers of servers stay as they are.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    error_pages: list(each(errorPage), 'The pages.', { maxItems: 100, first: true })
  },
  check: body =>
    (body.error_pages ?? []).flatMap((page, i): Violation[] => {
      const has = [page.error_page_body_ref, page.error_redirect].filter(part => part !== undefined && part !== '').length
      return has === 1 ? [] : [{ pointer: `/error_pages/${i}`, message: 'must have either error_page_body_ref or error_redirect' }]
    })
})
export type ErrorPageProfile = Written<typeof errorpageprofile.fields>
export type FilledErrorPageProfile = Filled<typeof errorpageprofile.fields>

export const errorpagebody = defineKind({
  kind: 'errorpagebody',
  title: 'Error page body',
  titlePlural: 'Error page bodies',
  description: 'The text of an error page.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    error_page_body: text('The page.', { required: true, maxLength: 65536, first: true }),
    format: oneOf(['ERROR_PAGE_FORMAT_HTML', 'ERROR_PAGE_FORMAT_JSON'], 'What the page is.', { default: 'ERROR_PAGE_FORMAT_HTML' })
  }
})
export type ErrorPageBody = Written<typeof errorpagebody.fields>
export type FilledErrorPageBody = Filled<typeof errorpagebody.fields>
