/**
 * An upgrade of engines as an operator sees it: started, watched, stopped by trouble, resumed, rolled back. The dashboard is over its stand-in; the
 * driver that answers for upgrades is the real one, with hosts and a clock of the test.
 */
import t from 'tap'
import { upgradeActions } from '#model/resource/upgrade.ts'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { startDashboardStub } from '#test/support/dashboard-stub.ts'
import { aGroup, obeys } from '#test/support/upgraded-group.ts'

t.setTimeout(300_000)

t.test('the page of upgrades', { skip: browserMissing() ?? false }, async t => {
  const house = await aGroup(t, 3)
  const stub = await startDashboardStub()
  const browser = await openBrowser(stub.url)
  t.teardown(async () => {
    await browser.close()
    await stub.close()
  })
  const { page } = browser
  let isPackaged = false
  let isStarted = false
  await page.route('**/api/upgrade', route => {
    const results = isStarted ? [house.view()] : []
    return route.fulfill({ json: { count: results.length, results, given_out: isPackaged ? { version: '2.0.0', builds: {} } : null } })
  })
  const said: unknown[] = []
  await page.route('**/upgrade/*', route => {
    const verb = route.request().url().split('/').at(-1)
    said.push([verb, route.request().postDataJSON()])
    const action = upgradeActions.find(one => one === verb)
    const json = action === undefined ? house.start() : house.act(action)
    isStarted = true
    return route.fulfill({ json: { ...json } })
  })

  await page.goto(`${stub.url}/fabric`)
  await page.getByRole('link', { name: 'Upgrades' }).click()
  await page.getByText('This controller gives out no engine').waitFor()
  t.same(await axeFindings(page), [], 'axe: empty')

  isPackaged = true
  await page.getByRole('region', { name: 'Upgrade to 2.0.0' }).waitFor()
  await page.getByLabel('At once').fill('2')
  await page.getByRole('button', { name: 'Start' }).click()
  const panel = page.getByRole('region', { name: 'edge to 2.0.0' })
  const rowOf = (name: string) => panel.getByRole('row', { name })
  await rowOf('e1').getByText('is measured before').waitFor()
  t.match(said, [['start', { max_parallel: 2 }]])
  house.pass(11)
  await rowOf('e1').getByText('is watched').waitFor()
  await rowOf('e1').getByText('bbbbbbbb').waitFor()
  house.engine(2).host = ({ id }, one) =>
    (one.ended = { id, outcome: 'failed', reason: 'the new engine was not taken: the old one runs on' })
  house.pass(30)
  await panel.getByText('paused', { exact: true }).first().waitFor()
  await rowOf('e2').getByText('failed').waitFor()
  await panel.getByText('e2: the new engine was not taken: the old one runs on').first().waitFor()
  await panel.getByText('1 of 3 engines, 1 at once').waitFor()
  t.same(await axeFindings(page), [], 'axe: an upgrade that stopped')
  if (process.env['WEIR_SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['WEIR_SCREENSHOT'] })

  house.engine(2).host = obeys
  await panel.getByRole('button', { name: 'Resume' }).click()
  await panel.getByRole('button', { name: 'Pause' }).click()
  await panel.getByRole('button', { name: 'Resume' }).click()
  await panel.getByRole('button', { name: 'Pause' }).waitFor()
  house.pass(60)
  await panel.getByText('3 of 3 engines run the new build').first().waitFor()
  await panel.getByRole('button', { name: 'Pause' }).waitFor({ state: 'detached' })
  await panel.getByRole('button', { name: 'Roll back…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click()
  const back = page.getByRole('region', { name: 'edge to what it ran before' })
  await back.getByText('running').waitFor()
  house.pass(20)
  await back.getByText('3 of 3 engines run what they ran before').first().waitFor()
  t.same(await axeFindings(page), [], 'axe: an upgrade that was rolled back')
  t.same(browser.complaints, [])
})
