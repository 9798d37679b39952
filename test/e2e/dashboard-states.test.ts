/** What the dashboard draws when things are not as they should be, and how it behaves with many of them. */
import t, { type Test } from 'tap'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { startDashboardStub } from '#test/support/dashboard-stub.ts'

const skip = browserMissing() ?? false

const pages = [
  '/',
  '/services',
  '/services/virtualservice-00000000-0000-4000-8000-000000000002',
  '/services/virtualservice-00000000-0000-4000-8000-000000000002/servers',
  '/services/virtualservice-00000000-0000-4000-8000-000000000002/policies',
  '/services/virtualservice-00000000-0000-4000-8000-000000000002/changes',
  '/services/new',
  '/services/form',
  '/addresses',
  '/addresses/vsvip-00000000-0000-4000-8000-000000000001',
  '/pools',
  '/pools/pool-00000000-0000-4000-8000-000000000000',
  '/pools/pool-00000000-0000-4000-8000-000000000000/edit',
  '/fabric',
  '/fabric?add',
  '/fabric/upgrade',
  '/fabric/serviceengine-00000000-0000-4000-8000-000000000002',
  '/events',
  '/services/virtualservice-00000000-0000-4000-8000-000000000002/events',
  '/changes',
  '/settings',
  '/settings/objects/healthmonitor',
  '/settings/objects/healthmonitor/new',
  '/no/such/page'
]

/** The dashboard in a browser, over a stand-in for the controller. */
async function openDashboard(t: Test) {
  const stub = await startDashboardStub()
  const browser = await openBrowser(stub.url)
  t.teardown(async () => {
    await browser.close()
    await stub.close()
  })
  return { stub, browser, page: browser.page }
}

t.test('every page is free of axe findings and complaints: dark, light, and 375 px wide', { skip }, async t => {
  const stub = await startDashboardStub()
  t.teardown(() => stub.close())
  for (const view of [
    { colorScheme: 'dark', width: 1440 },
    { colorScheme: 'light', width: 375 }
  ] as const) {
    const browser = await openBrowser(stub.url, view)
    t.teardown(() => browser.close())
    const { page } = browser
    await page.goto(stub.url)
    for (const path of pages) {
      // As a click would: the page stays loaded.
      await page.evaluate(`history.pushState(null, '', ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent('popstate'))`)
      await page.locator('h1, .blank h2, [role=dialog]').first().waitFor()
      await page.locator('.skeleton').first().waitFor({ state: 'detached' })
      t.same(await axeFindings(page), [], `${path} ${view.colorScheme} ${view.width}`)
      const isWider = await page.evaluate('document.documentElement.scrollWidth > window.innerWidth')
      t.notOk(isWider, `${path} fits into ${view.width} px`)
    }
    t.same(browser.complaints, [], `no complaint, no request elsewhere, under the strictest policy (${view.colorScheme})`)
    await browser.close()
  }
})

t.test('a service’s page says which engine owns its address', { skip }, async t => {
  const { stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/services/virtualservice-00000000-0000-4000-8000-000000000002`)
  const places = page.getByRole('region', { name: 'Runs on' }).locator('li')
  await places.filter({ hasText: 'edge-1' }).getByText('owns the address').waitFor()
  t.notMatch(await places.filter({ hasText: 'edge-2' }).textContent(), /owns the address/)
})

t.test('pages say which engine announces an address, and why another does not', { skip }, async t => {
  const { page, stub } = await openDashboard(t)
  await page.goto(`${stub.url}/services/virtualservice-00000000-0000-4000-8000-000000000002`)
  const places = page.getByRole('region', { name: 'Runs on' }).locator('li')
  await places.filter({ hasText: 'edge-1' }).getByText('announces the address', { exact: true }).waitFor()
  await places.filter({ hasText: 'edge-2' }).getByText('does not announce the address: BIRD has no session with a router').waitFor()
  t.equal(await page.getByRole('region', { name: 'Runs on' }).getByText('Reached at').textContent(), 'Reached at 10.1.0.1')
  await page.goto(`${stub.url}/fabric/serviceengine-00000000-0000-4000-8000-000000000002`)
  const announced = page.getByRole('region', { name: 'Announced addresses' })
  await announced.getByText('BIRD tells no router: BIRD has no session with a router').waitFor()
  await announced.getByText('start Active Socket: Connection refused').waitFor()
  await announced.locator('li').filter({ hasText: 'back' }).getByText('not announced: enable_rhi is false').waitFor()
  t.pass('all of it is there')
})

t.test('a service’s page says what its rate limits do, and who has how much of them', { skip }, async t => {
  const { stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/services/virtualservice-00000000-0000-4000-8000-000000000002`)
  const limits = page.getByRole('region', { name: 'Rate limits' })
  await limits.getByText('Requests').waitFor()
  const text = (await limits.textContent()) ?? ''
  t.match(text, /within.*over.*edge-1 has 75\s*%.*edge-2 has 25\s*%/)
})

t.test('a service’s page says what its cache does, and who took out what', { skip }, async t => {
  const { stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/services/virtualservice-00000000-0000-4000-8000-000000000002`)
  const cache = page.getByRole('region', { name: 'Cache' })
  await cache.getByText('from the cache').waitFor()
  const text = (await cache.textContent()) ?? ''
  t.match(text, /90\s*%.*from the cache.*900 hits/)
  t.match(text, /Tag shoes: 12 answers taken out by mona.*edge-2 when back/)
  t.ok(await cache.getByRole('button', { name: 'Take out' }).isDisabled(), 'nothing is named yet')
  await cache.getByLabel('Address').fill('https://shop.test/')
  t.ok(await cache.getByRole('button', { name: 'Take out' }).isEnabled())
})

t.test('empty, failing, not allowed and stale are drawn', { skip }, async t => {
  const stub = await startDashboardStub(0, 0)
  const browser = await openBrowser(stub.url)
  t.teardown(async () => {
    await browser.close()
    await stub.close()
  })
  const { page } = browser
  await page.goto(`${stub.url}/services`)
  await page.getByText('No services yet').waitFor()
  t.ok(await page.getByRole('link', { name: 'New service' }).count(), 'empty offers the one action that fills it')
  t.same(await axeFindings(page), [])

  stub.mode.services = 14
  stub.mode.readsFail = 503
  await page.goto(`${stub.url}/services`)
  const alert = page.getByRole('alert')
  await alert.waitFor()
  t.match(await alert.textContent(), /Cannot read the services: the store cannot do this now.*urn:uuid:4711/su)
  t.same(await axeFindings(page), [])

  stub.mode.readsFail = undefined
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.getByRole('link', { name: 'shop', exact: true }).waitFor()

  stub.mode.readsFail = 403
  await page.goto(`${stub.url}/pools`)
  await page.getByRole('heading', { name: 'Not allowed' }).waitFor()
  t.match(await page.getByRole('alert').textContent(), /alice may not read this kind/u)

  stub.mode.readsFail = undefined
  await page.goto(`${stub.url}/services`)
  await page.getByRole('switch', { name: 'Live figures: Live' }).waitFor()
  stub.mode.isMute = true
  await page.locator('.frame[data-live=stale]').waitFor()
  await page.getByRole('switch', { name: /Live figures: \d+ s old/u }).waitFor()
  stub.mode.isMute = false
  await page.locator('.frame[data-live=live]').waitFor()
  await page.getByRole('switch', { name: /Live figures/u }).click()
  await page.locator('.frame[data-live=paused]').waitFor()
  t.same(browser.complaints, [])
})

t.test('the command for an engine that was not built says how to build it, and when it is', { skip }, async t => {
  const { browser, stub, page } = await openDashboard(t)
  stub.mode.isPackaged = false
  await page.goto(`${stub.url}/fabric?add`)
  const warning = page.getByRole('dialog').getByRole('alert')
  await warning.getByText('make package').waitFor()
  t.same(await axeFindings(page), [])
  stub.mode.isPackaged = true
  await warning.waitFor({ state: 'detached' })
  await page.getByLabel('How it runs').selectOption('Container')
  await page.getByRole('button', { name: 'Make the command' }).click()
  await page.locator('.command code').filter({ hasText: '/install/container.sh' }).waitFor()
  await page.getByLabel('How it runs').selectOption('systemd host')
  await page.locator('.command code').filter({ hasText: '/install.sh' }).waitFor()
  t.same(await axeFindings(page), [])
  t.same(browser.complaints, [])
})

t.test('two thousand services: only what is on screen is drawn and asked for', { skip }, async t => {
  const stub = await startDashboardStub(0, 2_000)
  const browser = await openBrowser(stub.url)
  t.teardown(async () => {
    await browser.close()
    await stub.close()
  })
  const { page } = browser
  const subscribed: number[] = []
  page.on('websocket', socket =>
    socket.on('framesent', ({ payload }) => subscribed.push((JSON.parse(String(payload)) as { topics: unknown[] }).topics.length))
  )
  await page.goto(`${stub.url}/services`)
  await page.getByRole('link', { name: 'accounts', exact: true }).waitFor()
  t.ok((await page.locator('tbody tr').count()) < 80, 'rows off screen are not drawn')
  await page
    .locator('.table-box')
    .evaluate('(() => { const box = document.querySelector(".table-box"); box.scrollTop = box.scrollHeight })()')
  await page.getByRole('link', { name: 'shop-api', exact: true }).waitFor()
  t.ok(subscribed.length > 0 && Math.max(...subscribed) < 120, `asked for ${Math.max(...subscribed)} at most`)

  await page.getByRole('searchbox', { name: 'Filter' }).fill('state:down score:<50 name:service-00')
  await page.getByRole('link', { name: 'service-0010', exact: true }).waitFor()
  t.match(new URL(page.url()).searchParams.get('q'), 'state:down', 'the filter is in the URL')
  await page.getByRole('button', { name: 'Name' }).click()
  t.equal(new URL(page.url()).searchParams.get('sort'), '-name')
  await page.reload()
  await page.getByRole('link', { name: 'service-0010', exact: true }).waitFor()
  t.equal(await page.getByRole('searchbox', { name: 'Filter' }).inputValue(), 'state:down score:<50 name:service-00')
})

t.test('a view is kept under its name, and a document leaves as YAML', { skip }, async t => {
  const { browser, stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/services?q=state:down&sort=-name`)
  await page.getByRole('button', { name: 'Views' }).click()
  const views = page.getByRole('dialog')
  await views.getByText('None saved of this list yet').waitFor()
  await views.getByRole('textbox', { name: 'Name of the view' }).fill('what is down')
  await page.keyboard.press('Enter')
  await views.getByRole('link', { name: 'what is down' }).waitFor()
  t.same(await axeFindings(page), [], 'views')
  await page.goto(`${stub.url}/pools`)
  await page.getByRole('button', { name: 'Views' }).click()
  await views.getByText('None saved of this list yet').waitFor()
  await page.goto(`${stub.url}/services`)
  await page.getByRole('button', { name: 'Views' }).click()
  await views.getByRole('link', { name: 'what is down' }).click()
  t.equal(new URL(page.url()).search, '?q=state%3Adown&sort=-name')
  await page.getByRole('button', { name: 'what is down' }).click()
  await views.getByRole('button', { name: 'remove view what is down' }).click()
  await views.getByText('None saved of this list yet').waitFor()

  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.goto(`${stub.url}/pools/pool-00000000-0000-4000-8000-000000000000/edit`)
  await page.getByRole('button', { name: 'Copy as YAML' }).click()
  await page.getByRole('button', { name: 'Copied' }).waitFor()
  t.match(
    await page.evaluate('navigator.clipboard.readText()'),
    /^kind: pool\nname: web\n(?:.*\n)*health_monitor_refs:\n {2}- "\/api\/healthmonitor\?name=System-HTTP"\n/u
  )
  t.same(browser.complaints, [])
})

t.test('the last probes of a server show what was asked and answered', { skip }, async t => {
  const { browser, stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/pools/pool-00000000-0000-4000-8000-000000000000`)
  await page
    .getByRole('button', { name: /System-HTTP/ })
    .first()
    .click()
  const dialog = page.getByRole('dialog', { name: 'Last probes' })
  await dialog.getByText('HEAD / HTTP/1.0').waitFor()
  await dialog.getByText('HTTP/1.1 200 OK').waitFor()
  t.same(await axeFindings(page), [], 'the dialog')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  t.same(browser.complaints, [])
})

t.test('the page of a pool says which zone a server is in, and why it gets nothing', { skip }, async t => {
  const { browser, stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/pools/pool-00000000-0000-4000-8000-000000000000`)
  const row = page.getByRole('row').filter({ hasText: '10.0.0.5' })
  await row.getByText('south').waitFor()
  await row.getByText('stands by').waitFor()
  t.equal(await row.getByTitle('gets nothing: edge-1 keeps to its own zone').count(), 1)
  await page.getByText(/^north; 100 % stays there now\. Since it started .*requests stayed, 12 requests left$/u).waitFor()
  t.same(await axeFindings(page), [])
  t.same(browser.complaints, [])
})

t.test('the page of a pool that several services use tells what each sends to it', { skip }, async t => {
  const { browser, stub, page } = await openDashboard(t)
  await page.goto(`${stub.url}/pools/pool-00000000-0000-4000-8000-000000000000`)
  const panel = page.getByRole('region', { name: 'Traffic by service' })
  await panel.waitFor()
  const names = panel.getByRole('link')
  t.same(await names.allTextContents(), ['api', 'shop'], 'the busiest first')
  t.match(await panel.getByRole('row').nth(1).textContent(), /api.*\/s/u)
  await names.first().click()
  await page.waitForURL(/\/services\/virtualservice-/u)
  t.same(browser.complaints, [])
})

t.test('everything is reached by keyboard', { skip }, async t => {
  const { stub, page } = await openDashboard(t)
  await page.goto(stub.url)
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  await page.keyboard.press('Control+k')
  const search = page.getByRole('combobox', { name: /Search services/u })
  await search.waitFor()
  await search.pressSequentially('payments')
  const found = page.getByRole('option', { name: 'payments Service', selected: true })
  await found.waitFor()
  t.same(await axeFindings(page), [], 'the palette')
  t.equal(await search.inputValue(), 'payments')
  await found.waitFor()
  await search.press('Enter')
  await page.getByRole('heading', { name: 'payments' }).waitFor()
  await page.goto(`${stub.url}/services`)
  await page.getByRole('link', { name: 'accounts', exact: true }).focus()
  await page.keyboard.press('ArrowDown')
  t.equal(await page.evaluate('document.activeElement.textContent'), 'images')
  await page.getByRole('checkbox', { name: 'select images' }).focus()
  await page.keyboard.press('Space')
  await page.getByRole('toolbar', { name: 'Selected' }).waitFor()
  t.same(await axeFindings(page), [], 'with a selection')
  await page.getByRole('button', { name: 'Delete…' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  t.same(await axeFindings(page), [], 'the question')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})
