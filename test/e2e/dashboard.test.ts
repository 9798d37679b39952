/** A stranger's way through the dashboard: the real controller and engine, a real browser, traffic that really flows. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { axeFindings, browserMissing, openBrowser } from '#test/support/browser.ts'
import { kindGroups } from '../../ui/settings/kinds.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, startWeir } from '#test/support/weir.ts'

const skip = browserMissing() ?? false

/** A server that says who it is. */
async function startServer(text: string): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createServer((_request, response) => void response.end(text))
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

t.test('a stranger signs in, makes a service, sees its traffic, changes it and takes it away', { skip }, async t => {
  const server = await startServer('hello from the shop')
  t.teardown(() => server.close())
  const [shopPort = 0] = await freePorts(1)
  const ports = await freePorts(3)
  const weir = await startWeir({ ports })
  t.teardown(() => weir.stop())
  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  const isFine = async (what: string): Promise<void> => void t.same(await axeFindings(page), [], `axe: ${what}`)
  const notice = (text: string | RegExp): Promise<void> => page.locator('.notice').filter({ hasText: text }).first().waitFor()

  t.comment('signing in')
  await page.goto(`${weir.url}/services`)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill('wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').waitFor()
  t.match(await page.getByRole('alert').textContent(), /Not signed in/u)
  await isFine('sign-in')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()

  t.comment('the list, live')
  const demo = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'demo', exact: true }) })
  await demo.getByText('Up', { exact: true }).waitFor()
  let isLoading = true
  const load = (async () => {
    while (isLoading) await send(`http://127.0.0.1:${weir.demoPort}/`).catch(() => undefined)
  })()
  await until('the list shows requests', async () => (/[1-9][\d.]*(k?)\/s/u.test((await demo.textContent()) ?? '') ? true : undefined))
  t.pass('requests are counted while one looks')
  await isFine('services')

  t.comment('a service')
  await page.getByRole('link', { name: 'demo', exact: true }).click()
  await page.getByRole('heading', { name: 'demo' }).waitFor()
  await page.locator('.chart canvas').nth(4).waitFor()
  await page
    .getByRole('region', { name: 'Runs on' })
    .getByText(/runs r\d+, wanted r\d+/u)
    .waitFor()
  await isFine('a service')
  await page.getByRole('button', { name: 'Scale out…' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('button', { name: 'Scale out' }).click()
  await dialog.getByText('no other engine can take it: group Default-Group has no more engines').waitFor()
  await isFine('what cannot be done says why')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  const plot = (await page.locator('.chart .u-over').first().boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 }
  await page.mouse.move(plot.x + plot.width * 0.6, plot.y + plot.height / 2)
  await page.mouse.down()
  await page.mouse.move(plot.x + plot.width * 0.9, plot.y + plot.height / 2, { steps: 4 })
  await page.mouse.up()
  await page.waitForURL(/from=\d+&to=\d+/u)
  await page.getByText('zoomed').waitFor()
  await page.getByText('5m', { exact: true }).click()
  await page.waitForURL(address => !address.searchParams.has('from'))
  t.pass('a drag over a chart zooms, and the window is in the address')
  isLoading = false
  await load

  t.comment('a new service')
  await page.goto(`${weir.url}/services/new`)
  await page.getByLabel('Name', { exact: false }).first().fill('shop')
  await page.getByRole('textbox', { name: 'New address' }).fill('not an address')
  await page.getByRole('textbox', { name: 'Port', exact: true }).fill(String(shopPort))
  await page.getByRole('textbox', { name: 'Servers' }).fill(`127.0.0.1:${server.port}`)
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('alert').first().waitFor()
  t.equal(await page.getByRole('textbox', { name: 'New address' }).getAttribute('aria-invalid'), 'true', 'the violation is at its field')
  await isFine('a refused form')
  await page.getByRole('textbox', { name: 'New address' }).fill('127.0.0.1')
  await page.getByRole('button', { name: 'What will change' }).click()
  await page.getByRole('region', { name: 'What will change' }).getByText('create pool').waitFor()
  t.equal((await send(`http://127.0.0.1:${shopPort}/`).catch(() => undefined))?.status, undefined, 'looking changes nothing')
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name: 'shop', exact: true }).waitFor()
  await until('traffic flows', async () =>
    (await send(`http://127.0.0.1:${shopPort}/`)).text === 'hello from the shop' ? true : undefined
  )
  await page.locator('.page-head').getByText('Up', { exact: true }).waitFor()

  t.comment('its servers')
  await page.getByRole('link', { name: 'Servers' }).click()
  const serverRow = page.getByRole('row').filter({ hasText: `127.0.0.1:${server.port}` })
  await serverRow.getByText('Up', { exact: true }).waitFor()
  await serverRow.locator('.mantine-Switch-track').click()
  await notice('takes no new connections')
  await serverRow.getByText('Disabled').waitFor()
  await serverRow.locator('.mantine-Switch-track').click()
  await serverRow.getByText('Up', { exact: true }).waitFor()
  await isFine('servers')

  t.comment('the pool by its form')
  await page.getByRole('link', { name: 'shop-pool' }).click()
  await page.getByRole('heading', { name: 'shop-pool' }).waitFor()
  await page.getByRole('link', { name: 'Edit', exact: true }).click()
  await page.getByRole('combobox', { name: 'LB algorithm' }).click()
  await page.getByRole('option', { name: 'Round robin' }).click()
  await page.getByRole('button', { name: 'What will change' }).click()
  await page.getByRole('region', { name: 'What will change' }).getByText('LB_ALGORITHM_ROUND_ROBIN').waitFor()
  await page.getByRole('textbox', { name: 'Why' }).fill('because it is Tuesday')
  await page.getByRole('button', { name: 'Save' }).click()
  await notice('shop-pool saved')
  await page.locator('.tabs').getByRole('link', { name: 'Changes' }).click()
  await page.getByText('because it is Tuesday').waitFor()
  await page.getByRole('button', { name: /^r\d+/u }).first().click()
  await page.getByText('/lb_algorithm', { exact: true }).waitFor()
  await isFine('changes of a pool')

  t.comment('what is in use stays')
  await page.getByRole('button', { name: 'More actions' }).click()
  await page.getByRole('menuitem', { name: 'Delete…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page
    .getByRole('dialog')
    .getByText(/shop/u)
    .filter({ hasText: /Not done/u })
    .waitFor()
  await page.keyboard.press('Escape')

  t.comment('why a request goes where it goes')
  const session = await weir.signIn()
  const policy = {
    name: 'gate',
    http_security_policy: {
      rules: [
        {
          name: 'no-admin',
          index: 1,
          match: { path: { match_criteria: 'BEGINS_WITH', match_str: ['/admin'] } },
          action: { action: 'HTTP_SECURITY_ACTION_SEND_RESPONSE', status_code: 'HTTP_LOCAL_RESPONSE_STATUS_CODE_403' }
        }
      ]
    }
  }
  t.equal((await session.call('POST', '/api/httppolicyset', policy)).status, 201)
  const { results } = (await session.call('GET', '/api/virtualservice?name=shop')).json() as {
    results: readonly { readonly uuid: string }[]
  }
  const attach = { add: { http_policies: [{ index: 1, http_policy_set_ref: '/api/httppolicyset?name=gate' }] } }
  t.equal((await session.call('PATCH', `/api/virtualservice/${results[0]?.uuid}`, attach)).status, 200)
  await until('the rule runs', async () => ((await send(`http://127.0.0.1:${shopPort}/admin`)).status === 403 ? true : undefined))
  await page.goto(`${weir.url}/services/${results[0]?.uuid}/policies`)
  const form = page.getByRole('region', { name: 'Explain a request' })
  const told = page.getByRole('region', { name: 'What becomes of it' })
  await form.getByRole('textbox', { name: 'Host' }).fill('shop.test')
  await form.getByRole('button', { name: 'Explain' }).click()
  await told.getByText('goes to a server').waitFor()
  t.match(await told.textContent(), new RegExp(`no-admin.*does not match: path.*shop-pool.*127\\.0\\.0\\.1:${server.port}`, 'u'))
  await form.getByRole('textbox', { name: 'Path and query' }).fill('/admin/users')
  await form.getByRole('textbox', { name: 'Client address' }).fill('here')
  await form.getByRole('button', { name: 'Explain' }).click()
  await form.getByText('must be an address').first().waitFor()
  await form.getByRole('textbox', { name: 'Client address' }).fill('192.0.2.7')
  await form.getByRole('textbox', { name: 'Headers' }).fill('X-Key: 7')
  await form.getByRole('button', { name: 'Explain' }).click()
  await told.getByText('is answered by the engine with 403').waitFor()
  t.match(await told.textContent(), /no-admin.*matches/u)
  await isFine('a request explained')

  t.comment('live requests traced')
  const tracing = page.getByRole('region', { name: 'Trace live requests' })
  const found = page.getByRole('region', { name: 'Traced requests' })
  await tracing.getByRole('textbox', { name: 'Path begins with' }).fill('traced')
  await tracing.getByRole('button', { name: 'Trace' }).click()
  await tracing.getByText('must begin with /').first().waitFor()
  await tracing.getByRole('textbox', { name: 'Path begins with' }).fill('/traced')
  await tracing.getByRole('button', { name: 'Trace' }).click()
  await found.getByText('Tracing: 0 found').waitFor()
  // The order may be on its way to the workers still.
  await until('a request is traced', async () => {
    await send(`http://127.0.0.1:${shopPort}/traced/a`)
    return (await found.getByText('/traced/a').count()) > 0
  })
  await found.locator('summary').first().click()
  await found.getByText('no-admin').first().waitFor()
  t.match(
    await found.locator('details').first().textContent(),
    new RegExp(`no-admin.*does not match: path.*server .*in all .*shop-pool.*127\\.0\\.0\\.1:${server.port}`, 'u')
  )
  // So many requests were sent that it may have ended by itself: the next one is stopped by hand.
  await until('it has all that it wants', async () => {
    await send(`http://127.0.0.1:${shopPort}/traced/a`)
    return (await found.getByText('Ended').count()) > 0
  })
  await tracing.getByRole('button', { name: 'Trace' }).click()
  await tracing.getByRole('button', { name: 'Stop tracing' }).click()
  await found.getByText('Ended: 0 found').waitFor()
  await isFine('live requests traced')

  t.comment('switched off and on')
  await page.goto(`${weir.url}/services`)
  await page.getByRole('checkbox', { name: 'select shop' }).check()
  await page.getByRole('button', { name: 'Disable' }).click()
  await notice('1 service disabled')
  await page.getByRole('row').filter({ hasText: 'shop' }).getByText('Disabled', { exact: true }).waitFor()
  await page.getByRole('checkbox', { name: 'select shop' }).check()
  await page.getByRole('button', { name: 'Enable' }).click()
  await notice('1 service enabled')
  await page.getByRole('row').filter({ hasText: 'shop' }).getByText('Up', { exact: true }).waitFor()

  t.comment('the command that adds an engine')
  await page.goto(`${weir.url}/fabric`)
  await page
    .getByRole('row')
    .filter({ hasText: /runs r\d+, wanted r\d+/u })
    .getByText('Up', { exact: true })
    .waitFor()
  await page.getByRole('button', { name: 'Add an engine' }).click()
  await page.getByRole('button', { name: 'Make the command' }).click()
  await page.getByText('Waiting for the engine').waitFor()
  t.match(await page.locator('.command code').textContent(), /^curl .*--pinnedpubkey 'sha256\/\/.*--token \S+$/u)
  await isFine('add an engine')
  const systemd = await page.locator('.command code').textContent()
  await page.getByLabel('How it runs').selectOption('Container')
  await page.locator('.command code').filter({ hasText: '/install/container.sh' }).waitFor()
  t.equal(
    await page.locator('.command code').textContent(),
    systemd?.replace('/install.sh', '/install/container.sh'),
    'the same token, whichever way the engine runs'
  )
  const token = /--token (\S+)$/u.exec(systemd ?? '')?.[1] ?? 'none'
  for (const [method, says] of [
    ['Compose', 'sh -s -- compose'],
    ['Kubernetes', '/install/kubernetes.sh'],
    ['Helm chart', 'helm install weir'],
    ['cloud-init', '#cloud-config'],
    ['Ansible role', 'ansible-playbook'],
    ['Terraform module', 'terraform -chdir=terraform apply']
  ] as const) {
    await page.getByLabel('How it runs').selectOption(method)
    await page.locator('.command code').filter({ hasText: says }).filter({ hasText: token }).waitFor()
  }
  await isFine('add an engine by Terraform')
  const folder = mkdtempSync(join(tmpdir(), 'weir-second-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const second = spawn(process.execPath, [resolve(import.meta.dirname, '../../service-engine/main.ts')], {
    env: {
      ...process.env,
      WEIR_DATA: folder,
      WEIR_CONTROLLER: weir.url,
      WEIR_CHANNEL: `127.0.0.1:${ports[1]}`,
      WEIR_NAME: 'second-engine',
      WEIR_WORKERS: '1',
      WEIR_TOKEN: token
    },
    stdio: 'ignore'
  })
  t.teardown(() => second.kill('SIGKILL'))
  await page.getByRole('region', { name: 'Joined' }).getByText('second-engine').waitFor()
  await page.getByRole('region', { name: 'Joined' }).getByText('Up', { exact: true }).waitFor()
  await page.keyboard.press('Escape')
  second.kill('SIGKILL')
  await page.getByRole('row').filter({ hasText: 'second-engine' }).getByText('Down', { exact: true }).waitFor()
  t.pass('an engine appears in the open page, and its end too')

  t.comment('the controller goes and comes back')
  // The page connects again by itself, as often as it takes, until figures come.
  const isFed = page.waitForEvent('websocket', {
    timeout: 60_000,
    predicate: async socket => (await socket.waitForEvent('framereceived').catch(() => undefined)) !== undefined
  })
  process.kill(weir.pidOf('controller/main.ts'), 'SIGKILL')
  t.equal((await send(`http://127.0.0.1:${shopPort}/`)).text, 'hello from the shop', 'traffic flows on')
  await isFed
  await page.locator('.frame[data-live=live]').waitFor()

  t.comment('taken away')
  await page.goto(`${weir.url}/services`)
  await page.getByRole('checkbox', { name: 'select shop' }).check()
  await page.getByRole('button', { name: 'Delete…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('link', { name: 'shop', exact: true }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  t.same(browser.complaints, [], 'no complaint in the console, no request elsewhere')
})

t.test('the form of every kind gives back what it read', { skip }, async t => {
  const weir = await startWeir({ env: { WEIR_DEMO: '0' } })
  t.teardown(() => weir.stop())
  const browser = await openBrowser(weir.url)
  t.teardown(() => browser.close())
  const { page } = browser
  await page.goto(weir.url)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(weir.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  const session = await weir.signIn()
  const go = (path: string): Promise<unknown> =>
    page.evaluate(`history.pushState(null, '', ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent('popstate'))`)
  for (const { kind } of kindGroups.flatMap(group => group.kinds)) {
    await go(`/settings/objects/${kind}/new`)
    await page.getByRole('heading', { name: /^New / }).waitFor()
    const { results } = (await session.call('GET', `/api/${kind}?page_size=1`)).json() as {
      readonly results: readonly { readonly uuid: string; readonly name: string }[]
    }
    const [object] = results
    if (!object) continue
    await go(`/settings/objects/${kind}/${object.uuid}`)
    await page.getByRole('heading', { name: `Edit ${object.name}` }).waitFor()
    await page.getByRole('button', { name: 'What will change' }).click()
    await page.getByText('Nothing: it is so already').or(page.getByRole('alert')).first().waitFor()
    t.equal(await page.getByText('Nothing: it is so already').count(), 1, `${kind} ${object.name}`)
  }
  await go('/settings/objects/sslkeyandcertificate')
  await page
    .getByText(/^\d+ d left$/)
    .first()
    .waitFor()
  t.same(browser.complaints, [])
})
