import t from 'tap'
import { Fault } from '#engine/base/fault.ts'
import type { Answer } from '#engine/dataplane/exchange/exchange.ts'
import { compileErrorPages } from '#engine/dataplane/http/error-page.ts'
import { answerTo } from '#engine/dataplane/http/rescue.ts'

const page = (text: string) => ({ location: null, contentType: 'text/html', bodyBase64: Buffer.from(text).toString('base64') })
const answer = (status: number, body = ''): Answer => ({ is: 'answer', status, reason: '', headers: ['x-a', '1'], body: Buffer.from(body) })

t.test('compileErrorPages sends the first page that is for the status', async t => {
  const dress = compileErrorPages([
    { status: [{ from: 502, to: 504 }], ...page('server') },
    { status: [{ from: 429, to: 429 }], ...page(''), location: 'https://status.test/' },
    { status: [], ...page('any') }
  ])
  const rescued = dress(answerTo(new Fault('NO_AVAILABLE_SERVER', 'none')).answer)
  t.equal(rescued.body.toString(), 'server')
  t.equal(rescued.status, 503)
  t.same(
    rescued.headers.filter((_, i) => i % 2 === 0),
    ['cache-control', 'retry-after', 'content-type']
  )
  t.match(dress(answer(429)), { status: 302, headers: ['location', 'https://status.test/'] })
  t.equal(dress(answer(404)).body.toString(), 'any')
})

t.test('compileErrorPages leaves a body of a rule and what is no error', async t => {
  const dress = compileErrorPages([{ status: [], ...page('any') }])
  t.equal(dress(answer(403, 'by a rule')).body.toString(), 'by a rule')
  t.equal(dress(answer(200)).body.length, 0)
})
