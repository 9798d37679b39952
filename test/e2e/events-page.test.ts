/** The timeline as an operator reads it: an engine dies and comes back, a server fails, and the pages say so in order, also after a restart. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { startWeir } from '#test/support/weir.ts'

t.setTimeout(300_000)

interface Told {
  readonly event_id: string
  readonly obj_uuid: string
}

t.test('what happens is told, on a page of its own and on that of what it happened to', { skip: browserMissing() ?? false }, async t => {
  const weir = await startWeir({ env: { WEIR_DEMO: '0' } })
  t.teardown(() => weir.stop())
  const session = await weir.signIn()
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await session.call('POST', `/api/${kind}`, body)
    if (answer.status !== 201) throw new Error(`${kind} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const server = createServer((_request, response) => response.end('ok'))
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  t.teardown(close)
  const [port] = (await freePorts(1)) as [number]
  const pool = await make('pool', {
    name: 'web',
    health_monitor_refs: ['/api/healthmonitor?name=System-TCP'],
    servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port: (server.address() as AddressInfo).port }]
  })
  await make('vsvip', { name: 'web', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  const service = await make('virtualservice', {
    name: 'shop',
    vsvip_ref: '/api/vsvip?name=web',
    services: [{ port }],
    pool_ref: '/api/pool?name=web'
  })
  const told = async (query: string): Promise<readonly Told[]> =>
    ((await session.call('GET', `/api/analytics/logs?type=2&${query}`)).json() as { results: Told[] }).results
  const has = (query: string, ...ids: readonly string[]) =>
    until(
      `${query}: ${ids.join(', ')}`,
      async () => {
        const found = (await told(query)).map(({ event_id }) => event_id)
        return ids.every(id => found.includes(id)) ? true : undefined
      },
      60_000
    )
  await has(`obj_uuid=${service}`, 'VS_ADD_SE')
  // Until then every state counts as on the way.
  await has(`obj_uuid=${service}`, 'VS_UP')

  process.kill(weir.pidOf('service-engine/main.ts'), 'SIGKILL')
  await has('level=ERROR', 'SE_DOWN', 'VS_DOWN')
  await has('level=INFO', 'SE_UP')
  close()
  await has(`obj_uuid=${pool}`, 'SERVER_DOWN', 'POOL_DOWN')

  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  await page.goto(`${weir.url}/events`)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('SE_DOWN').first().waitFor()
  await page.getByText('SERVER_DOWN').first().waitFor()
  t.same(await axeFindings(page), [], 'axe: all events')
  if (process.env['WEIR_SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['WEIR_SCREENSHOT'], fullPage: true })
  await page.getByText('Errors', { exact: true }).click()
  await page.waitForURL(/level=ERROR/)
  await page.getByText('SE_UP').first().waitFor({ state: 'detached' })
  t.equal(await page.getByText('VS_ADD_SE').count(), 0, 'errors only')

  await page.goto(`${weir.url}/services/${service}/events`)
  await page.getByText('is placed on').waitFor()
  await page.getByText('SERVER_DOWN').waitFor()
  t.equal(await page.getByText('SE_DOWN').count(), 0, 'what its engine went through is on the page of the engine')
  t.same(await axeFindings(page), [], 'axe: those of a service')

  const before = (await told('page_size=200')).map(({ event_id, obj_uuid }) => `${event_id} ${obj_uuid}`)
  // The last second may not have been written.
  const seconds = performance.now()
  await until('a second', () => performance.now() - seconds > 1_500)
  process.kill(weir.pidOf('controller/main.ts'), 'SIGKILL')
  await until(
    'it is back',
    async () => ((await session.call('GET', '/readyz').catch(() => undefined))?.status === 200 ? true : undefined),
    60_000
  )
  const again = await weir.signIn()
  const after = (await again.call('GET', '/api/analytics/logs?type=2&page_size=200')).json() as { results: Told[] }
  t.same(
    after.results.map(({ event_id, obj_uuid }) => `${event_id} ${obj_uuid}`).slice(-before.length),
    before,
    'a controller that is killed forgets nothing that is older than a second'
  )
  t.same(
    browser.complaints.filter(line => !/websocket|ERR_CONNECTION|Failed to load|Failed to fetch/i.test(line)),
    []
  )
})
