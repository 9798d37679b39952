/** A script from the form to the traffic, and what is seen of it. */
import t from 'tap'
import { browserMissing, openBrowser } from '#test/support/browser.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, startWeir } from '#test/support/weir.ts'

t.setTimeout(300_000)
const skip = browserMissing() ?? false

t.test('a script is edited, refused at its line, saved, run and shown', { skip }, async t => {
  const weir = await startWeir({ env: { WEIR_DEMO: '0' } })
  t.teardown(() => weir.stop())
  const session = await weir.signIn()
  const [port] = (await freePorts(1)) as [number]
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await session.call('POST', `/api/${kind}`, body)
    if (answer.status !== 201) throw new Error(`${kind} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const evt = 'VS_DATASCRIPT_EVT_HTTP_REQ'
  await make('vsdatascriptset', { name: 'answers', datascript: [{ evt, script: 'weir.respond(204)' }] })
  await make('vsvip', { name: 'scripted-vip', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  const service = await make('virtualservice', {
    name: 'scripted',
    vsvip_ref: '/api/vsvip?name=scripted-vip',
    services: [{ port }],
    vs_datascripts: [{ index: 1, vs_datascript_set_ref: '/api/vsdatascriptset?name=answers' }]
  })
  const refused = await session.call('POST', '/api/vsdatascriptset', { name: 'bad', datascript: [{ evt, script: 'let a\nlet = 1' }] })
  t.equal(refused.status, 422)
  t.match(refused.text, /line 2, column/)

  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  await page.goto(weir.url)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  const go = (path: string): Promise<unknown> =>
    page.evaluate(`history.pushState(null, '', ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent('popstate'))`)
  await go('/settings/objects/vsdatascriptset')
  await page.getByRole('link', { name: 'answers' }).click()
  const script = page.locator('.code-input')
  await script.fill("weir.count('asked')\nweir.respond(200 { body: 'x' })")
  await page.getByRole('button', { name: 'What will change' }).click()
  await page
    .getByText(/line 2, column \d+:/)
    .first()
    .waitFor()
  await page.getByLabel('Line 2').getByText("weir.respond(200 { body: 'x' })").waitFor()
  await script.fill("weir.count('asked')\nif (weir.request.path === '/bad') nothing.here()\nweir.respond(200, { body: 'by script' })")
  await page.getByRole('button', { name: 'Save' }).click()

  const ask = async (path: string): Promise<string> => {
    try {
      const { status, text } = await send(`http://127.0.0.1:${port}${path}`, { method: 'GET' })
      return `${status} ${text}`
    } catch {
      return 'nobody'
    }
  }
  await until('the script answers', async () => (await ask('/')) === '200 by script')
  t.match(await ask('/bad'), /^500/)
  await until('its failure is told', async () => {
    const { text } = await session.call('GET', `/api/virtualservice/${service}/runtime/`)
    return /"failures":1/.test(text) && /line 2: ReferenceError/.test(text)
  })
  await go(`/services/${service}`)
  await page.getByText('answers/HTTP_REQ').first().waitFor()
  await page
    .getByText(/line 2: ReferenceError/)
    .first()
    .waitFor()
  t.same(browser.complaints, [])
})
