/** What becomes of requests, said over REST and seen through the engine. */
import { createServer as createHttpServer } from 'node:http'
import t from 'tap'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, startWeir } from '#test/support/weir.ts'

t.setTimeout(300_000)

async function aServer(name: string): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createHttpServer((request, response) => {
    request.resume()
    response.setHeader('content-type', 'text/plain')
    response.end(`${name} ${'.'.repeat(500)}`)
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  return { port: typeof address === 'object' && address !== null ? address.port : 0, close }
}

t.test('a parent, its children, patterns, limits, compression and an explanation', async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  const session = await weir.signIn()
  const servers = await Promise.all(['web', 'api'].map(aServer))
  for (const server of servers) t.teardown(server.close)
  const [port] = (await freePorts(1)) as [number]
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await session.call('POST', `/api/${kind}`, body)
    if (answer.status !== 201) throw new Error(`${kind} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const local = { addr: '127.0.0.1', type: 'V4' }
  for (const [i, name] of ['web', 'api'].entries()) await make('pool', { name, servers: [{ ip: local, port: servers[i]!.port }] })
  await make('vsvip', { name: 'traffic-vip', vip: [{ vip_id: '1', ip_address: local }] })
  await make('httppolicyset', {
    name: 'rules',
    http_request_policy: {
      rules: [
        {
          name: 'versions',
          index: 1,
          match: { path: { match_criteria: 'REGEX_MATCH', match_str: ['^/v[0-9]+/'] } },
          switching_action: { action: 'HTTP_SWITCHING_SELECT_POOL', pool_ref: '/api/pool?name=api' }
        }
      ]
    }
  })
  await make('applicationprofile', {
    name: 'packed',
    type: 'APPLICATION_PROFILE_TYPE_HTTP',
    http_profile: { compression_profile: { compression: true } }
  })
  const hosted = { vh_type: 'VS_TYPE_VH_ENHANCED' }
  const parent = await make('virtualservice', {
    name: 'parent',
    type: 'VS_TYPE_VH_PARENT',
    ...hosted,
    vsvip_ref: '/api/vsvip?name=traffic-vip',
    services: [{ port }]
  })
  const child = { type: 'VS_TYPE_VH_CHILD', ...hosted, vh_parent_vs_ref: `/api/virtualservice/${parent}`, pool_ref: '/api/pool?name=web' }
  const shop = await make('virtualservice', {
    name: 'shop',
    ...child,
    vh_matches: [{ host: 'shop.test' }],
    application_profile_ref: '/api/applicationprofile?name=packed',
    http_policies: [{ index: 1, http_policy_set_ref: '/api/httppolicyset?name=rules' }]
  })
  const limited = await make('virtualservice', {
    name: 'limited',
    ...child,
    vh_matches: [{ host: '*.limited.test' }],
    requests_rate_limit: {
      rate_limiter: { count: 2, period: 3600 },
      action: { type: 'RL_ACTION_LOCAL_RSP' },
      key: ['RATE_KEY_CLIENT_IP']
    }
  })
  const taken = await session.call('POST', '/api/virtualservice', { name: 'second', ...child, vh_matches: [{ host: 'Shop.test' }] })
  t.match([taken.status, taken.text], [422, /shop\.test of virtual service second already leads to virtual service shop/])

  const get = (host: string, path: string, headers = {}) => send(`http://127.0.0.1:${port}${path}`, { headers: { host, ...headers } })
  await until('the child answers', async () => ((await get('shop.test', '/')).text.startsWith('web') ? true : undefined), 30_000)
  await until('by its rule', async () => ((await get('shop.test', '/v2/x')).text.startsWith('api') ? true : undefined))
  t.match(await get('shop.test', '/', { 'accept-encoding': 'gzip' }), { headers: { 'content-encoding': 'gzip' } })
  t.equal((await get('nobody.test', '/')).status, 503, 'the parent has no pool')
  const statuses: number[] = []
  await until('limited', async () => (statuses.push((await get('a.limited.test', '/')).status), statuses.at(-1) === 429 ? true : undefined))
  t.equal(statuses.filter(status => status === 200).length, 2)
  t.match(await get('a.limited.test', '/'), { headers: { 'retry-after': /^\d+$/, ratelimit: /r=0/ } })

  const runtime = async () =>
    (await session.call('GET', `/api/virtualservice/${limited}/runtime`)).json() as { limits?: { engines: { refused: number }[] }[] }
  await until('its runtime tells of the limit', async () => ((await runtime()).limits?.[0]?.engines[0]?.refused ?? 0) > 0)
  t.match(await runtime(), { limits: [{ name: 'requests', engines: [{ share: 1, admitted: 2 }] }] })
  const metrics = await session.call('GET', '/metrics')
  t.match(
    metrics.text,
    /weir_limit_admitted_total\{tenant="admin",virtualservice="limited",uuid="[^"]+",limit="requests",serviceengine="[^"]+"\} 2\n/
  )

  const question = { virtualservice_ref: `/api/virtualservice/${parent}`, host: 'shop.test', path: '/v2/x' }
  const explained = await session.call('POST', '/api/explain', question)
  t.match(explained.json(), {
    verdict: 'forward',
    pool_name: 'api',
    server: `127.0.0.1:${servers[1]!.port}`,
    steps: [{ rule: 'child shop' }, { rule: 'rules/versions', matched: true }]
  })
  const state = async (): Promise<string> =>
    ((await session.call('GET', `/api/virtualservice/${shop}/runtime`)).json() as { oper_status: { state: string } }).oper_status.state
  await until('its runtime says so', async () => ((await state()) === 'OPER_UP' ? true : undefined))
  t.equal((await session.call('DELETE', `/api/virtualservice/${parent}`)).status, 409, 'its children need it')
})
