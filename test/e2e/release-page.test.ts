/** A release as an operator sees it: started, watched, held, promoted in the dashboard. */
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { startWeir } from '#test/support/weir.ts'

t.setTimeout(300_000)

t.test('the page of releases', { skip: browserMissing() ?? false }, async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  const session = await weir.signIn()
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await session.call('POST', `/api/${kind}`, body)
    if (answer.status !== 201) throw new Error(`${kind} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const pools: string[] = []
  for (const name of ['web-v1', 'web-v2']) {
    const server = createServer((_request, response) => response.end(name))
    await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    pools.push(
      await make('pool', { name, servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port: (server.address() as AddressInfo).port }] })
    )
  }
  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  await page.goto(`${weir.url}/releases`)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Nothing is released yet').waitFor()
  t.same(await axeFindings(page), [], 'axe: empty')

  await make('poolgroupdeploymentpolicy', { name: 'slowly', scheme: 'CANARY', steps: [20, 100], evaluation_duration: 3600 })
  await make('poolgroup', {
    name: 'web',
    deployment_policy_ref: '/api/poolgroupdeploymentpolicy?name=slowly',
    members: [{ pool_ref: pools[0] }, { pool_ref: pools[1], ratio: 0 }]
  })
  const [port] = (await freePorts(1)) as [number]
  await make('vsvip', { name: 'web', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  await make('virtualservice', {
    name: 'web',
    vsvip_ref: '/api/vsvip?name=web',
    services: [{ port }],
    pool_group_ref: '/api/poolgroup?name=web'
  })
  let isLoading = true
  t.teardown(() => (isLoading = false))
  const ask = (): void => {
    if (!isLoading) return
    const again = (): void => void setTimeout(ask, 20)
    get({ host: '127.0.0.1', port }, response => response.resume().on('end', again)).on('error', again)
  }
  ask()

  await page.getByRole('combobox', { name: 'Pool group' }).click()
  await page.getByRole('option', { name: 'web' }).click()
  await page.getByRole('combobox', { name: 'Pool that takes over' }).click()
  await page.getByRole('option', { name: 'web-v2' }).click()
  await page.getByRole('button', { name: 'Start' }).click()
  const panel = page.getByRole('region', { name: 'web-v2 in web' })
  await panel.getByText('step 1 of 2 (20 %, 100 %)').waitFor()
  await until('both sides are counted', async () => {
    const cells = await panel.getByRole('row').filter({ hasText: 'Requests' }).getByRole('cell').allTextContents()
    return cells.length === 2 && cells.every(text => /^[1-9]/u.test(text))
  })
  t.same(await axeFindings(page), [], 'axe: a release under way')
  await panel.getByRole('button', { name: 'Pause' }).click()
  await panel.getByText('20 % paused').waitFor()
  await panel.getByRole('button', { name: 'Resume' }).click()
  await panel.getByText('20 % resumed').waitFor()
  await panel.getByRole('button', { name: 'Promote…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Promote' }).click()
  await panel.getByText('20 % promoted').waitFor()
  await panel.getByRole('button', { name: 'Pause' }).waitFor({ state: 'detached' })
  t.match(await panel.getByRole('list', { name: 'Decisions' }).textContent(), /by admin, r\d+/)
  t.same(await axeFindings(page), [], 'axe: a release that is over')
  if (process.env['WEIR_SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['WEIR_SCREENSHOT'] })
  t.same(browser.complaints, [])
})
