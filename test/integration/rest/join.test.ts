import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseJoinToken } from '#model/message/token.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { aRest } from '#test/support/rest.ts'

t.test('a join token is shown once, with the whole command', async t => {
  const { admin, store } = await aRest(t)
  const made = await admin.call('POST', '/api/jointoken', { uses: 3, labels: { rack: '7' } })
  t.equal(made.status, 201, made.text)
  const token = String(made.body['token'])
  const parsed = parseJoinToken(token)!
  t.ok(parsed, token)
  t.equal(
    made.body['command'],
    `curl -fsSLk --pinnedpubkey 'sha256//cGlu' 'http://controller.test:9443/install.sh' | sh -s -- --controller 'http://controller.test:9443' --pin 'sha256//cGlu' --token ${token}`
  )
  t.match(made.body['commands'], { systemd: made.body['command'], container: /\/install\/container\.sh' \| sh .* --token weir1/ })
  const { paths } = (await admin.call('GET', '/api/openapi.json')).body as unknown as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }
  t.match(JSON.stringify(paths['/api/jointoken']?.['post']), /"commands":\{.*"systemd":.*"container":/u)
  const stored = store.get('jointoken', String(made.body['uuid']))!
  t.equal(stored.body['token_hash'], createHash('sha256').update(parsed.secret).digest('base64url'))
  t.match(stored.body, { uses: 3, uses_left: 3, expires_at: /^\d{4}-.*Z$/ })
  t.notMatch(JSON.stringify([stored, store.revisions({ limit: 100 })]), new RegExp(parsed.secret))

  const read = await admin.call('GET', `/api/jointoken/${String(made.body['uuid'])}`)
  t.match(read.body, { token: undefined, command: undefined, commands: undefined, uses: 3, token_hash: '<sensitive>' })
  t.match(await admin.call('POST', '/api/jointoken', { uses: 0, expiry_minutes: 'x' }), {
    status: 422,
    violations: [{ pointer: '/uses' }, { pointer: '/expiry_minutes' }]
  })
  t.match(
    await admin.call('POST', '/api/jointoken', {}, { 'idempotency-key': 'k' }),
    { status: 400 },
    'an answer that is shown once is not kept'
  )
  t.equal((await admin.call('POST', '/api/jointoken?dry_run', {})).body['token'], undefined)
  t.equal((await admin.call('POST', '/api/jointoken', '')).status, 201, 'nothing is asked for')
  t.equal((await admin.call('POST', '/api/jointoken', { token_hash: 'mine', expires_at: '2099-01-01T00:00:00Z' })).status, 201)
  t.notMatch(JSON.stringify(store.list('jointoken')), /mine|2099/, 'what the server says, it says itself')
})

t.test('enrolment is open, strict and slowed down', async t => {
  const { anonymous, fleet } = await aRest(t, { enrolmentsPerMinute: 9 })
  const enrol = (body: object | string) => anonymous.call('POST', '/api/enrol', body)
  t.match(await enrol({ token: 'weir1.a.b', csr: 'csr', hostname: 'web-1' }), {
    status: 200,
    body: { engineName: 'web-1', enginePort: 9444, certificatePem: /./ }
  })
  t.match(fleet.enrolments, [{ token: 'weir1.a.b', csrPem: 'csr', hostname: 'web-1', remoteAddress: /./ }])
  t.match(await enrol({ token: 'wrong', csr: 'csr', hostname: 'web-1' }), { status: 401, body: { code: 'ENROL_REFUSED' } })
  for (const body of [{}, { token: 1, csr: 'x', hostname: 'x' }, { token: 'x', csr: 'x', hostname: '$(reboot)' }, [], '{'])
    t.equal((await enrol(body)).status, 400, JSON.stringify(body))
  t.equal((await enrol({ token: 'x', csr: 'x'.repeat(100_000), hostname: 'x' })).status, 413)
  t.equal((await enrol({})).status, 400)
  t.equal((await enrol({})).status, 429)
})

t.test('an engine is revoked and deleted, never made by hand', async t => {
  const { admin, change, fleet, anonymous } = await aRest(t)
  const { resources } = await change.apply({
    actor: controllerActor,
    tenant: 'admin',
    writes: [{ op: 'create', kind: 'serviceengine', body: { name: 'e1' } }]
  })
  const { uuid } = resources[0]!
  t.match(await admin.call('POST', '/api/serviceengine', { name: 'x' }), { status: 405, headers: { allow: 'GET' } })
  t.equal((await anonymous.call('POST', `/api/serviceengine/${uuid}/revoke`)).status, 401)
  t.equal((await admin.call('POST', '/api/serviceengine/none/revoke')).status, 404)
  t.match(await admin.call('POST', `/api/serviceengine/${uuid}/revoke`), { status: 200, body: { revoked: true } })
  t.same(fleet.revoked, [uuid])
  t.equal((await admin.call('DELETE', `/api/serviceengine/${uuid}?dry_run`)).status, 204)
  t.same(fleet.revoked, [uuid])
  t.equal((await admin.call('DELETE', `/api/serviceengine/${uuid}`)).status, 204)
  t.same(fleet.revoked, [uuid, uuid])
  t.equal((await admin.call('GET', `/api/serviceengine/${uuid}`)).status, 404)
})

t.test('install files are served when they were built, and name the command when not', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-install-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const { anonymous } = await aRest(t, { installFolder: folder })
  for (const path of ['/install.sh', '/install/container.sh', '/install/engine.tar.gz'])
    t.match(await anonymous.call('GET', path), { status: 503, body: { error: /make package/ } }, path)
  writeFileSync(join(folder, 'install.sh'), '#!/bin/sh\n')
  writeFileSync(join(folder, 'VERSION'), '1\n')
  writeFileSync(join(folder, '.hidden'), 'no')
  t.match(await anonymous.call('GET', '/install.sh'), { status: 200, text: '#!/bin/sh\n', headers: { 'content-type': /shellscript/ } })
  t.match(await anonymous.call('GET', '/install/VERSION'), { status: 200, text: '1\n' })
  for (const path of ['/install/.hidden', '/install/none', '/install/..%2fx', '/install/a%00b'])
    t.equal((await anonymous.call('GET', path)).status, 404, path)
})

t.test('the dashboard is served with its own router, and its assets for ever', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-ui-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const { anonymous } = await aRest(t, { uiFolder: folder })
  t.match(await anonymous.call('GET', '/'), { status: 503, body: { error: /make/ } })
  mkdirSync(join(folder, 'assets'))
  writeFileSync(join(folder, 'index.html'), '<!doctype html>')
  writeFileSync(join(folder, 'assets', 'index-abc123.js'), '1')
  for (const path of ['/', '/services', '/services/virtualservice-1', '/fabric/'])
    t.match(
      await anonymous.call('GET', path),
      { status: 200, text: '<!doctype html>', headers: { 'cache-control': 'no-cache', 'content-type': /html/ } },
      path
    )
  t.match(await anonymous.call('GET', '/services/shop.example.com%20two', undefined, { accept: 'text/html,*/*' }), {
    status: 200,
    text: '<!doctype html>'
  })
  t.match(await anonymous.call('GET', '/assets/index-abc123.js'), {
    status: 200,
    headers: { 'cache-control': 'public, max-age=31536000, immutable', 'content-type': /javascript/ }
  })
  for (const path of ['/assets/none.js', '/favicon.png', '/api/none', '/assets/..%2f..%2fx'])
    t.equal((await anonymous.call('GET', path)).status, 404, path)
})
