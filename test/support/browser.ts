/** A real Chromium, with what a test of the dashboard asks of a page. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import type { BrowserContext, Page } from 'playwright-core'

const executablePath = '/usr/bin/chromium'
const launchArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** Why there can be no browser here; undefined when there can. */
export function browserMissing(): string | undefined {
  return existsSync(executablePath) ? undefined : `${executablePath} is not installed`
}

export interface Browser {
  readonly context: BrowserContext
  readonly page: Page
  /** What pages wrote as errors to the console, threw, or asked of another host. */
  readonly complaints: string[]
  readonly close: () => Promise<void>
}

/** Patience for a loaded machine. */
const TIMEOUT_MS = 30_000

export async function openBrowser(
  origin: string,
  options: { readonly colorScheme?: 'light' | 'dark'; readonly width?: number; readonly height?: number } = {}
): Promise<Browser> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-browser-'))
  const context = await chromium.launchPersistentContext(folder, {
    executablePath,
    args: launchArguments,
    viewport: { width: options.width ?? 1440, height: options.height ?? 900 },
    colorScheme: options.colorScheme ?? 'dark',
    // What fades in has no contrast yet.
    reducedMotion: 'reduce',
    ignoreHTTPSErrors: true
  })
  context.setDefaultTimeout(TIMEOUT_MS)
  const page = context.pages()[0] ?? (await context.newPage())
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => {
    // A refused request is a fact that tests bring about; Chromium writes it as an error of its own.
    if (
      message.type() === 'error' &&
      !message.text().startsWith('Failed to load resource') &&
      !message.text().includes('WebSocket connection')
    )
      complaints.push(message.text())
  })
  page.on('request', request => {
    const { protocol, host } = new URL(request.url())
    if (/^(https?|wss?):$/u.test(protocol) && host !== new URL(origin).host) complaints.push(`asked ${host}`)
  })
  return {
    context,
    page,
    complaints,
    close: async () => {
      await context.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeAnswer {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
  }[]
}

/** What axe finds on the page as it is now: one line a finding. */
export async function axeFindings(page: Page): Promise<readonly string[]> {
  await page.evaluate(axeSource)
  const answer = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as AxeAnswer
  return answer.violations.flatMap(({ id, nodes }) =>
    nodes.slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary?.slice(0, 200) ?? ''}`)
  )
}
