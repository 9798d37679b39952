/** Scaling by load as an operator sees it: what the load asks for, what was decided and why, on the pages of the service and of the pool. */
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { freePorts } from '#test/support/ports.ts'
import { startWeir } from '#test/support/weir.ts'

t.setTimeout(300_000)

t.test('the pages say what load asks for and what was decided', { skip: browserMissing() ?? false }, async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  const session = await weir.signIn()
  const must = async (method: string, path: string, body: object, status: number): Promise<string> => {
    const answer = await session.call(method, path, body)
    if (answer.status !== status) throw new Error(`${path} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const make = (kind: string, body: object) => must('POST', `/api/${kind}`, body, 201)
  const server = createServer((_request, response) => response.end('ok'))
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const [port] = (await freePorts(1)) as [number]
  await make('serverautoscalepolicy', { name: 'by-load', max_size: 4, max_requests_per_server: 1 })
  const pool = await make('pool', {
    name: 'web',
    autoscale_policy_ref: '/api/serverautoscalepolicy?name=by-load',
    servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port: (server.address() as AddressInfo).port }]
  })
  await make('vsvip', { name: 'web', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  const service = await make('virtualservice', {
    name: 'web',
    vsvip_ref: '/api/vsvip?name=web',
    services: [{ port }],
    pool_ref: '/api/pool?name=web'
  })

  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  await page.goto(`${weir.url}/services/${service}`)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Runs on').waitFor()
  t.equal(await page.getByRole('heading', { name: 'Scaling', exact: true }).count(), 0, 'nobody asked for it')

  const group = (await session.call('GET', '/api/serviceenginegroup?name=Default-Group')).json() as { results: { uuid: string }[] }
  await must('PATCH', `/api/serviceenginegroup/${group.results[0]!.uuid}`, { replace: { autoscale: { max_requests_per_engine: 1 } } }, 200)
  let isLoading = true
  t.teardown(() => (isLoading = false))
  const ask = (): void => {
    if (!isLoading) return
    const again = (): void => void setTimeout(ask, 20)
    get({ host: '127.0.0.1', port }, response => response.resume().on('end', again)).on('error', again)
  }
  ask()

  const decisions = page.getByRole('list', { name: 'Decisions' })
  await decisions
    .getByText(/Held: requests: .* its load is that of .* engines, and there are 1; no other engine can take it/)
    .waitFor({ timeout: 60_000 })
  await page.getByText(/Load of [\d.]+ engines, 1 there/).waitFor()
  t.same(await axeFindings(page), [], 'axe: the service')
  if (process.env['WEIR_SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['WEIR_SCREENSHOT'], fullPage: true })

  await page.goto(`${weir.url}/pools/${pool}`)
  await decisions.getByText(/Held: requests: .* a server, of 1\/s; .* no webhook_ref/).waitFor({ timeout: 60_000 })
  t.same(await axeFindings(page), [], 'axe: the pool')
  t.same(browser.complaints, [])
})
