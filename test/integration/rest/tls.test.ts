import { createHash, X509Certificate } from 'node:crypto'
import { connect as connectPlain } from 'node:net'
import { connect } from 'node:tls'
import t from 'tap'
import { selfSigned } from '#test/support/self-signed.ts'
import type { SelfSigned } from '#test/support/self-signed.ts'
import { aRest } from '#test/support/rest.ts'
import { send, signIn } from '#test/support/weir.ts'

const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256

const shownBy = (port: number): Promise<string> =>
  new Promise((done, fail) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      done(socket.getPeerX509Certificate()!.fingerprint256)
      socket.destroy()
    })
    socket.on('error', fail)
  })

t.test('the port speaks TLS and shows a renewed certificate without closing what is open', async t => {
  let current: SelfSigned = await selfSigned(['localhost'])
  let renewed = (): void => undefined
  const house = await aRest(t, {
    tls: true,
    authority: {
      caPem: current.certificatePem,
      caFingerprint: createHash('sha256').update('ca').digest('base64url'),
      serverKeyPin: 'sha256//cGlu',
      serverCertificate: () => current,
      onServerRenewed: listener => {
        renewed = listener
        return () => undefined
      }
    }
  })
  const { port } = await house.rest.start({ host: '127.0.0.1', port: 0 })
  t.equal(await shownBy(port), fingerprint(current.certificatePem))

  const before = await selfSigned(['localhost'])
  const open = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await new Promise(done => open.once('secureConnect', done))
  current = before
  renewed()
  t.equal(await shownBy(port), fingerprint(before.certificatePem))
  open.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  const answer = await new Promise<string>(done => {
    let text = ''
    open.on('data', chunk => (text += String(chunk)))
    open.on('end', () => done(text))
  })
  t.match(answer, /^HTTP\/1\.1 200 /)
  open.destroy()

  const url = `https://127.0.0.1:${port}`
  const session = await signIn(url, 'admin', 'correct horse battery')
  const made = await session.call('POST', '/api/pool', { name: 'over TLS' })
  t.equal(made.status, 201, made.text)
  t.match(made.json(), { url: new RegExp(`^https://127\\.0\\.0\\.1:${port}/api/pool/`) })
  t.equal((await send(`${url}/healthz`)).status, 200)
})

t.test('headers beyond their bound are refused', async t => {
  const house = await aRest(t)
  const { port } = await house.rest.start({ host: '127.0.0.1', port: 0 })
  const answer = await send(`http://127.0.0.1:${port}/healthz`, { headers: { 'x-big': 'x'.repeat(20_000) } })
  t.equal(answer.status, 431)
  t.match(answer.json(), { status: 431, error: /headers/ })
  t.equal((await send(`http://127.0.0.1:${port}/healthz`)).status, 200)
})

t.test('whoever sends a body that is too large gets to see why', async t => {
  const house = await aRest(t)
  const { port } = await house.rest.start({ host: '127.0.0.1', port: 0 })
  const { cookie, csrfToken } = house.admin
  const headers = { cookie, 'x-csrftoken': csrfToken, referer: `http://127.0.0.1:${port}/`, 'content-type': 'application/json' }
  const body = `{"name":"${'x'.repeat(10_000_000)}"}`
  for (const path of ['/api/pool', '/api/macro', '/login']) {
    const answer = await send(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body })
    t.equal(answer.status, 413, path)
    t.match(answer.json(), { code: 'BODY_TOO_LARGE' })
  }
  t.equal(
    (await send(`http://127.0.0.1:${port}/api/pool`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })).status,
    401
  )
})

t.test('who sends slowly, and will close, is heard out before the answer', async t => {
  const house = await aRest(t)
  const { port } = await house.rest.start({ host: '127.0.0.1', port: 0 })
  const { cookie, csrfToken } = house.admin
  const piece = Buffer.alloc(200_000, 'x')
  const head = (framing: string): string =>
    `POST /api/pool HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nCookie: ${cookie}\r\nX-CSRFToken: ${csrfToken}\r\n` +
    `Referer: http://127.0.0.1:${port}/\r\nContent-Type: application/json\r\nConnection: close\r\n${framing}\r\n\r\n`
  const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
  for (const [framing, part, end] of [
    [`Content-Length: ${20 * piece.length}`, piece, ''],
    ['Transfer-Encoding: chunked', chunk, '0\r\n\r\n']
  ] as const) {
    // Half open, so that it goes on sending whatever the server does with its own side.
    const socket = connectPlain({ host: '127.0.0.1', port, allowHalfOpen: true })
    t.teardown(() => socket.destroy())
    socket.write(head(framing))
    let left = 20
    // Slower than the server decides.
    const pacing = setInterval(() => {
      if (left-- > 0) socket.write(part)
      else {
        clearInterval(pacing)
        socket.write(end)
      }
    }, 5)
    t.teardown(() => clearInterval(pacing))
    const text = await new Promise<string>((done, fail) => {
      let all = ''
      socket.on('data', data => (all += String(data)))
      socket.on('error', fail)
      socket.on('end', () => (left > 0 ? fail(new Error(`answered before ${left} parts were read`)) : done(all)))
    })
    t.match(text, /^HTTP\/1\.1 413 /, framing)
    t.match(text, /BODY_TOO_LARGE/)
  }
})

t.test('what is no HTTP is told so', async t => {
  const house = await aRest(t)
  const { port } = await house.rest.start({ host: '127.0.0.1', port: 0 })
  for (const bytes of [
    'GARBAGE\r\n\r\n',
    '\u0000\u0001\u0002',
    'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
  ]) {
    const socket = connectPlain({ host: '127.0.0.1', port })
    t.teardown(() => socket.destroy())
    socket.write(bytes)
    const text = await new Promise<string>(done => {
      let all = ''
      socket.on('data', chunk => (all += String(chunk)))
      socket.on('close', () => done(all))
    })
    t.match(text, /^HTTP\/1\.1 400 /, JSON.stringify(bytes))
    t.match(text, /application\/problem\+json/)
  }
})
