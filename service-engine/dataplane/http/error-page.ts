/** An operator's pages in the place of our own plain error answers. */
import type { ErrorPageSpec } from '#model/snapshot/snapshot.ts'
import type { Answer } from '../exchange/exchange.ts'

/** Dresses an answer of ours; one that has a body by a rule, and one that is no error, stays as it is. */
export function compileErrorPages(pages: readonly ErrorPageSpec[]): (answer: Answer) => Answer {
  const made = pages.map(page => ({ ...page, body: Buffer.from(page.bodyBase64, 'base64') }))
  return answer => {
    if (answer.status < 400 || (answer.isPlain !== true && answer.body.length > 0)) return answer
    const page = made.find(
      ({ status }) => status.length === 0 || status.some(({ from, to }) => answer.status >= from && answer.status <= to)
    )
    if (page === undefined) return answer
    if (page.location !== null)
      return {
        is: 'answer',
        status: 302,
        reason: '',
        headers: ['location', page.location, 'cache-control', 'no-store'],
        body: Buffer.alloc(0)
      }
    const kept: string[] = []
    for (let i = 0; i < answer.headers.length; i += 2)
      if (answer.headers[i] !== 'content-type') kept.push(answer.headers[i]!, answer.headers[i + 1]!)
    return { ...answer, headers: [...kept, 'content-type', page.contentType], body: page.body }
  }
}
