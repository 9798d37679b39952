/** The page of an engine group as an operator sees it: what is wanted, what is made, why not, and the way to try again. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { enginesBelow } from '#test/support/engines-below.ts'
import { until } from '#test/support/wait.ts'
import { startWeir } from '#test/support/weir.ts'

t.setTimeout(300_000)

t.test('the page of a group says what its driver makes, what failed, and tries again', { skip: browserMissing() ?? false }, async t => {
  const weir = await startWeir()
  const folder = weir.dataFolder
  t.teardown(async () => {
    await weir.stop()
    for (const pid of [...enginesBelow(folder).values()].flat()) process.kill(pid, 'SIGKILL')
  })
  const session = await weir.signIn()
  const patch = async (path: string, body: object): Promise<void> => {
    const answer = await session.call('PATCH', path, { replace: body })
    if (answer.status !== 200) throw new Error(`${path} ${answer.status}: ${answer.text}`)
  }
  const uuidOf = async (kind: string): Promise<string> =>
    ((await session.call('GET', `/api/${kind}`)).json() as { results: { uuid: string }[] }).results[0]!.uuid
  const group = await uuidOf('serviceenginegroup')
  // Where the engines' folders should be is a file: none can be made.
  writeFileSync(join(folder, 'engines'), '')

  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  await page.goto(`${weir.url}/fabric`)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Engine groups' }).click()
  await page.getByRole('menuitem', { name: 'Default-Group' }).click()
  await page.getByText('this is advice, and engines join by hand').waitFor()

  await patch(`/api/serviceenginegroup/${group}`, { min_se: 2, buffer_se: 0, se_deprovision_delay: 0, vs_scalein_timeout: 0 })
  await patch(`/api/cloud/${await uuidOf('cloud')}`, { engine_driver: { type: 'PROCESS' } })
  await page.getByText(/^1 there, 2 wanted/).waitFor()
  await page.getByText(/Failed .* could not be started/).waitFor()
  t.same(await axeFindings(page), [])
  rmSync(join(folder, 'engines'))
  await page.getByRole('button', { name: 'Try again now' }).click()
  await page.getByText(/^2 there, 2 wanted/).waitFor({ timeout: 60_000 })
  await page.getByText(/: joined for/).waitFor()
  await page
    .getByText(/Joined 2?.*it joined/)
    .or(page.getByText(/it joined/))
    .first()
    .waitFor()
  t.equal(enginesBelow(folder).size, 1)
  await patch(`/api/serviceenginegroup/${group}`, { min_se: 1 })
  await page.getByText(/^1 there, 1 wanted/).waitFor({ timeout: 60_000 })
  await page.getByText('None.').waitFor({ timeout: 60_000 })
  await until('it is gone', () => enginesBelow(folder).size === 0)
  t.same(await axeFindings(page), [])
})
