/** Servers that fail, and clients that stay, as an operator asks for them: from REST through all workers of a real engine and back to the runtime. */
import { createServer, type RequestListener } from 'node:http'
import t from 'tap'
import { load } from '#test/support/load.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, startWeir, type Session } from '#test/support/weir.ts'

t.setTimeout(600_000)

async function aServer(listener: RequestListener): Promise<{ readonly port: number; readonly asked: () => number }> {
  let asked = 0
  const server = createServer((request, response) => {
    asked++
    request.resume()
    listener(request, response)
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, asked: () => asked }
}

interface PoolRuntime {
  readonly servers: readonly {
    readonly port: number
    readonly oper_status: { readonly state: string; readonly reason: readonly string[] }
  }[]
}

async function post(session: Session, kind: string, body: object): Promise<string> {
  const answer = await session.call('POST', `/api/${kind}`, body)
  if (answer.status !== 201) throw new Error(`${kind}: ${answer.status} ${answer.text}`)
  return (answer.json() as { uuid: string }).uuid
}

async function aService(session: Session, name: string, ports: readonly number[], pool: object): Promise<{ pool: string; port: number }> {
  const [port = 0] = await freePorts(1)
  const servers = ports.map(one => ({ ip: { addr: '127.0.0.1', type: 'V4' }, port: one }))
  const uuid = await post(session, 'pool', { name: `${name}-pool`, servers, ...pool })
  await post(session, 'vsvip', { name: `${name}-vip`, vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  await post(session, 'virtualservice', {
    name,
    services: [{ port }],
    vsvip_ref: `/api/vsvip/?name=${name}-vip`,
    pool_ref: `/api/pool/?name=${name}-pool`
  })
  await until(`${name} answers`, async () => {
    const answer = await send(`http://127.0.0.1:${port}/`).catch(() => undefined)
    return answer === undefined ? undefined : true
  })
  return { pool: uuid, port }
}

t.test('servers that fail, clients that stay', async t => {
  const weir = await startWeir({ env: { WEIR_DEMO: '0' } })
  t.teardown(() => weir.stop())
  const session = await weir.signIn()

  await t.test('clients do not see a server that fails everything; it is ejected, and the runtime says why', async t => {
    const bad = await aServer((_request, response) => {
      response.statusCode = 500
      response.end()
    })
    const good = await Promise.all([1, 2, 3].map(() => aServer((_request, response) => response.end('good'))))
    const { pool, port } = await aService(session, 'steady', [bad.port, ...good.map(one => one.port)], {
      lb_algorithm: 'LB_ALGORITHM_ROUND_ROBIN',
      server_reselect: {
        enabled: true,
        svr_resp_code: { resp_code_block: ['HTTP_RSP_5XX'] },
        retry_budget: { percent: 50, min_per_s: 50 }
      },
      outlier_detection: { base_ejection_time: 3600, max_ejection_time: 3600 }
    })
    const { answered, failures } = await load({ port, connections: 8, requests: 400 })
    t.equal(answered, 400, JSON.stringify(failures))
    const runtime = await until('the runtime says ejected', async () => {
      const seen = (await session.call('GET', `/api/pool/${pool}/runtime`)).json() as PoolRuntime
      return seen.servers.some(server => server.oper_status.reason.length > 0) ? seen : undefined
    })
    const told = runtime.servers.find(server => server.port === bad.port)
    t.match(told?.oper_status, { state: 'OPER_DOWN', reason: [/^ejected by engine .* until .*: too many errors \(5xx\) in a row$/] })
    const before = bad.asked()
    const after = await load({ port, connections: 4, requests: 100 })
    t.equal(after.answered, 100)
    t.equal(bad.asked(), before, 'no worker asks it any more')
  })

  await t.test('a client keeps its server by the default cookie, whatever the worker', async t => {
    const servers = await Promise.all([0, 1, 2, 3].map(i => aServer((_request, response) => response.end(`server ${i}`))))
    const { port } = await aService(
      session,
      'sticky',
      servers.map(one => one.port),
      { application_persistence_profile_ref: '/api/applicationpersistenceprofile/?name=System-Persistence-Http-Cookie' }
    )
    const first = await until('an answer', async () => {
      const answer = await send(`http://127.0.0.1:${port}/`)
      return answer.status === 200 ? answer : undefined
    })
    const [cookie = ''] = [first.headers['set-cookie'] ?? []].flat()
    t.match(cookie, /^WEIR-[0-9a-f]{8}=[\w-]+; Path=\/; HttpOnly$/)
    for (let n = 0; n < 12; n++) {
      const answer = await send(`http://127.0.0.1:${port}/`, { headers: { cookie: cookie.split(';')[0]! } })
      t.equal(answer.text, first.text)
    }
  })

  await t.test('the key of cookies is not told', async t => {
    const uuid = await post(session, 'applicationpersistenceprofile', {
      name: 'own-key',
      persistence_type: 'PERSISTENCE_TYPE_HTTP_COOKIE',
      http_cookie_persistence_profile: { encryption_key: 'a secret of the operator' }
    })
    const { text } = await session.call('GET', `/api/applicationpersistenceprofile/${uuid}`)
    t.notMatch(text, /secret of the operator/)
    t.match(text, /<sensitive>/)
  })
})
