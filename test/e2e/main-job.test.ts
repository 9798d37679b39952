/** The main job, as a stranger meets it: `make run` under test from outside, over REST and over the demo's port. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { spawn } from 'node:child_process'
import t from 'tap'
import { load } from '#test/support/load.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, type Session, startWeir, type Weir } from '#test/support/weir.ts'

t.setTimeout(600_000)

interface Page<Row> {
  readonly count: number
  readonly results: readonly Row[]
}

const launcher = resolve(import.meta.dirname, '../../cli/run/run.ts')

async function aServer(name: string): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = createHttpServer((request, response) => {
    request.resume()
    response.end(name)
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () =>
      new Promise(closed => {
        server.closeAllConnections()
        server.close(() => closed())
      })
  }
}

async function engineState(session: Session): Promise<string> {
  const page = (await session.call('GET', '/api/serviceengine-inventory')).json() as Page<{ runtime: { oper_status: { state: string } } }>
  return page.results[0]?.runtime.oper_status.state ?? 'none'
}

async function createService(
  session: Session,
  name: string,
  port: number,
  serverPorts: readonly number[]
): Promise<{ readonly pool: string; readonly service: string }> {
  const pool = await session.call('POST', '/api/pool', {
    name: `${name}-pool`,
    servers: serverPorts.map(serverPort => ({ ip: { addr: '127.0.0.1', type: 'V4' }, port: serverPort }))
  })
  const vsvip = await session.call('POST', '/api/vsvip', {
    name: `${name}-vip`,
    vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }]
  })
  const service = await session.call('POST', '/api/virtualservice', {
    name,
    services: [{ port }],
    vsvip_ref: `/api/vsvip/?name=${name}-vip`,
    pool_ref: `/api/pool/?name=${name}-pool`
  })
  for (const answer of [pool, vsvip, service]) if (answer.status !== 201) throw new Error(`${answer.status}: ${answer.text}`)
  return { pool: (pool.json() as { uuid: string }).uuid, service: (service.json() as { uuid: string }).uuid }
}

t.test('the main job', async t => {
  const startedMs = performance.now()
  const weir: Weir = await startWeir()
  t.teardown(() => weir.stop())
  t.comment(`up after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
  const session = await weir.signIn()

  await t.test('the demo answers through the engine, balanced over two servers', async t => {
    const servers = new Set<string>()
    for (let i = 0; i < 8; i++) {
      const answer = await send(`http://127.0.0.1:${weir.demoPort}/`)
      t.equal(answer.status, 200)
      servers.add((answer.json() as { server: string }).server)
    }
    t.same(servers, new Set(['demo-1', 'demo-2']))
  })

  await t.test('the data folder has the CA that the dashboard is trusted by', async t => {
    const { readFileSync } = await import('node:fs')
    const ca = readFileSync(join(weir.dataFolder, 'ca.pem'), 'utf8')
    const answer = await send(`https://127.0.0.1:${weir.port}/`, { ca })
    t.equal(answer.status, 200)
    t.match(answer.text, /<html/)
  })

  await t.test('a service posted in the JSON of Avi carries traffic', async t => {
    const server = await aServer('hello')
    t.teardown(server.close)
    const [port = 0] = await freePorts(1)
    const { service } = await createService(session, 'shop', port, [server.port])
    const postedMs = performance.now()
    const answer = await until('the service answers', async () => {
      const seen = await send(`http://127.0.0.1:${port}/`)
      return seen.status === 200 ? seen : undefined
    })
    t.comment(`traffic ${(performance.now() - postedMs).toFixed(0)} ms after the POST`)
    t.equal(answer.text, 'hello')
    const runtime = await until('the runtime says up', async () => {
      const seen = (await session.call('GET', `/api/virtualservice/${service}/runtime`)).json() as {
        oper_status: { state: string }
        placed_on: readonly unknown[]
      }
      return seen.oper_status.state === 'OPER_UP' ? seen : undefined
    })
    t.equal(runtime.placed_on.length, 1)
  })

  await t.test('wrong, stale and used are told apart, with every violation', async t => {
    const wrong = await session.call('POST', '/api/pool', {
      name: 'bad',
      default_server_port: 70000,
      lb_algorithm: 'LB_NONE',
      colour: 'red'
    })
    t.equal(wrong.status, 422)
    const { violations } = wrong.json() as { violations: readonly { pointer: string }[] }
    t.same(violations.map(violation => violation.pointer).toSorted(), ['/colour', '/default_server_port', '/lb_algorithm'])

    const created = (await session.call('POST', '/api/pool', { name: 'edited' })).json() as { uuid: string; _last_modified: string }
    t.equal((await session.call('PUT', `/api/pool/${created.uuid}`, { ...created, description: 'once' })).status, 200)
    t.equal((await session.call('PUT', `/api/pool/${created.uuid}`, { ...created, description: 'twice' })).status, 412)
    t.equal((await session.call('DELETE', `/api/pool/${created.uuid}`)).status, 204)

    const { results } = (await session.call('GET', '/api/pool?name=demo-pool')).json() as Page<{ uuid: string }>
    const used = await session.call('DELETE', `/api/pool/${results[0]?.uuid}`)
    t.equal(used.status, 409)
    t.match(used.text, /demo/)
  })

  await t.test('hostile input is refused clearly and never answered with 500', async t => {
    const statuses: number[] = []
    const ask = async (body: string, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
      const { status } = await session.call('POST', '/api/pool', body, headers)
      statuses.push(status)
      return status
    }
    t.equal(await ask(JSON.stringify({ name: 'x', description: 'x'.repeat(10_000_000) })), 413)
    t.equal(await ask('{"name": '), 400)
    t.equal(await ask('{"__proto__": {"isAdmin": true}, "name": "x"}'), 400)
    t.equal(await ask('{"name":"x"}', { 'x-csrftoken': 'wrong' }), 403)
    t.equal(await ask('<pool/>', { 'content-type': 'application/xml' }), 415)
    t.equal(await ask(JSON.stringify({ name: "'; DROP TABLE resource; --" })), 201)
    t.equal(await ask('['.repeat(100_000)), 400)
    t.equal((await session.call('GET', "/api/pool?name=' OR 1=1 --")).status, 200)
    t.equal((await session.call('GET', '/api/pool/pool-%00')).status, 404)
    t.equal((await session.call('GET', '/api/nothing')).status, 404)
    t.notOk(statuses.some(status => status >= 500))
  })

  await t.test('a thousand sign-ins with a wrong password are slowed down and harm nobody', async t => {
    const counts = new Map<number, number>()
    let left = 1_000
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        const { status } = await send(`${weir.url}/login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ username: 'nobody', password: 'wrong wrong' })
        })
        counts.set(status, (counts.get(status) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    t.same(new Set(counts.keys()), new Set([401, 429]))
    t.ok((counts.get(429) ?? 0) > 800, 'most are told to wait')
    t.equal((await session.call('GET', '/api/pool')).status, 200, 'who is signed in goes on')
  })

  await t.test('10,000 requests at 64 connections while the pool is edited: none fails', async t => {
    const { results } = (await session.call('GET', '/api/pool?name=demo-pool&skip_default')).json() as Page<{
      uuid: string
      servers: readonly object[]
    }>
    const pool = results[0]!
    let edits = 0
    let isDone = false
    const editing = (async () => {
      while (!isDone) {
        const servers = pool.servers.map((server, i) => ({ ...server, ratio: 1 + ((edits + i) % 3) }))
        const { status, text } = await session.call('PATCH', `/api/pool/${pool.uuid}`, { replace: { servers } })
        if (status !== 200) throw new Error(`edit answered ${status}: ${text}`)
        edits++
        await new Promise(next => setTimeout(next, 250))
      }
    })()
    const result = await load({ port: weir.demoPort, connections: 64, requests: 10_000 })
    isDone = true
    await editing
    t.comment(`${edits} edits`)
    t.ok(edits > 2)
    t.same(result, { answered: 10_000, failures: {} })
  })

  await t.test('kill -9 of the controller under load fails no request and loses nothing that was committed', async t => {
    let isBack = false
    const traffic = load({ port: weir.demoPort, connections: 16, requests: 1_000_000, isOver: () => isBack })
    const names: string[] = []
    const writes = (async () => {
      for (let i = 0; i < 1_000 && !isBack; i++) {
        const name = `kept-${i}`
        const answer = await session
          .call('POST', '/api/stringgroup', { name, type: 'SG_TYPE_STRING', kv: [{ key: 'a' }] })
          .catch(() => undefined)
        if (answer === undefined) return
        if (answer.status === 201) names.push(name)
      }
    })()
    await until('some writes were acknowledged', () => (names.length > 5 ? true : undefined))
    const pid = weir.pidOf('controller/main.ts')
    process.kill(pid, 'SIGKILL')
    await writes
    const again = await until('the controller is back', () => weir.signIn(), 60_000)
    await until('the engine is connected again', async () => ((await engineState(again)) === 'OPER_UP' ? true : undefined), 30_000)
    isBack = true
    const result = await traffic
    t.same(result.failures, {})
    t.ok(result.answered > 100)
    const page = (await again.call('GET', '/api/stringgroup?name.contains=kept-&page_size=200')).json() as Page<{ name: string }>
    const found = new Set(page.results.map(row => row.name))
    t.same(
      names.slice(0, 150).filter(name => page.count <= 200 && !found.has(name)),
      []
    )
    t.ok(page.count >= names.length)
    t.ok((await session.call('GET', '/api/pool')).status === 200, 'a session outlives the restart')
  })

  await t.test('kill -9 of the engine: told at once, started again, serves its last snapshot without the controller', async t => {
    const again = await weir.signIn()
    const engine = weir.pidOf('service-engine/main.ts')
    const killedMs = performance.now()
    let isDownSeen = false
    process.kill(engine, 'SIGKILL')
    await until('the controller says down, or the engine is back already', async () => {
      const state = await engineState(again)
      if (state === 'OPER_DOWN') isDownSeen = true
      return isDownSeen || (performance.now() - killedMs > 400 && state === 'OPER_UP') ? true : undefined
    })
    t.comment(`${isDownSeen ? 'told down' : 'back'} after ${(performance.now() - killedMs).toFixed(0)} ms`)
    await until('the demo answers again', async () =>
      (await send(`http://127.0.0.1:${weir.demoPort}/`)).status === 200 ? true : undefined
    )

    const controller = weir.pidOf('controller/main.ts')
    process.kill(controller, 'SIGSTOP')
    t.teardown(() => process.kill(controller, 'SIGCONT'))
    process.kill(weir.pidOf('service-engine/main.ts'), 'SIGKILL')
    await until('the port is closed or taken up again', async () => {
      try {
        return weir.pidOf('service-engine/main.ts') === engine ? undefined : true
      } catch {
        return undefined
      }
    })
    const answer = await until(
      'the demo answers while the controller is stopped',
      async () => {
        const seen = await send(`http://127.0.0.1:${weir.demoPort}/`, { timeoutMs: 2_000 })
        return seen.status === 200 ? seen : undefined
      },
      30_000
    )
    t.equal(answer.status, 200)
  })
})

t.test('a second start finds its data, on other ports too', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-again-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const first = await startWeir({ folder, password: 'the first password' })
  const session = await first.signIn()
  t.equal((await session.call('POST', '/api/stringgroup', { name: 'stays', type: 'SG_TYPE_STRING' })).status, 201)
  t.equal(await first.stop(), 0, 'SIGTERM ends it with 0')

  const second = await startWeir({ folder, password: 'the first password', env: { WEIR_ADMIN_PASSWORD: 'another password' } })
  t.teardown(() => second.stop())
  const again = await second.signIn()
  t.equal(((await again.call('GET', '/api/stringgroup?name=stays')).json() as Page<object>).count, 1)
  t.equal(((await again.call('GET', '/api/serviceengine')).json() as Page<object>).count, 1, 'the engine did not join twice')
  t.equal((await send(`http://127.0.0.1:${second.demoPort}/`)).status, 200)
})

t.test('what cannot start says so in one line with exit code 2', async t => {
  const start = (env: NodeJS.ProcessEnv): Promise<{ readonly code: number | null; readonly stderr: string }> =>
    new Promise(done => {
      const child = spawn(process.execPath, [launcher], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] })
      let stderr = ''
      const kill = setTimeout(() => child.kill('SIGTERM'), 60_000)
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      child.on('close', code => {
        clearTimeout(kill)
        done({ code, stderr })
      })
    })
  const folder = mkdtempSync(join(tmpdir(), 'weir-refused-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [a = 0, b = 0, c = 0] = await freePorts(3)
  const ports = { WEIR_PORT: String(a), WEIR_ENGINE_PORT: String(b), WEIR_DEMO_PORT: String(c), WEIR_DATA: join(folder, 'data') }

  const taken = createServer()
  await new Promise<void>(listening => taken.listen(c, '127.0.0.1', listening))
  t.teardown(() => taken.close())
  t.match(await start(ports), { code: 2, stderr: new RegExp(`^weir: port ${c} is in use.*WEIR_DEMO_PORT.*\\n$`) })
  t.match(await start({ ...ports, WEIR_PORT: 'nine' }), { code: 2, stderr: /^weir: WEIR_PORT must be a port.*\n$/ })
  t.match(await start({ ...ports, WEIR_DEMO: '0', WEIR_ADMIN_PASSWORD: 'short' }), {
    code: 2,
    stderr: /^weir: WEIR_ADMIN_PASSWORD must .*\n$/
  })

  const { DatabaseSync } = await import('node:sqlite')
  const { readdirSync, mkdirSync } = await import('node:fs')
  const newer = join(folder, 'newer')
  const once = await startWeir({ folder: newer, env: { WEIR_DEMO: '0' } })
  await once.stop()
  const file = readdirSync(newer).find(name => name.endsWith('.db') && !name.includes('series'))
  const db = new DatabaseSync(join(newer, file ?? ''))
  db.exec('PRAGMA user_version = 9999')
  db.close()
  t.match(await start({ ...ports, WEIR_DEMO: '0', WEIR_DATA: newer }), { code: 2, stderr: /^weir: .*newer.*\n$/ })

  if (process.getuid?.() === 0) return
  const locked = join(folder, 'locked')
  mkdirSync(locked)
  chmodSync(locked, 0o500)
  t.match(await start({ ...ports, WEIR_DATA: locked }), { code: 2, stderr: /^weir: the data folder .* cannot be written.*\n$/ })
})

t.test('a launcher that is killed leaves nothing behind', async t => {
  const weir = await startWeir({ env: { WEIR_DEMO: '0' } })
  t.teardown(() => weir.stop())
  const pids = await until('controller and engine run', () => {
    try {
      return [weir.pidOf('controller/main.ts'), weir.pidOf('service-engine/main.ts')]
    } catch {
      return undefined
    }
  })
  process.kill(weir.pid, 'SIGKILL')
  for (const pid of pids) {
    await until(`process ${pid} ends`, () => {
      try {
        process.kill(pid, 0)
        return undefined
      } catch {
        return true
      }
    })
  }
  t.pass('all ended by themselves')
})
