/** `weir`: the command line. Exit codes: 0 done, 1 refused, 2 wrong use or what a person has to mend first, 3 unreachable. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { VERSION } from '#model/base/version.ts'
import type { UpgradeView } from '#model/resource/upgrade.ts'
import { cookiesOf, readJson, RefusedByController, send, Unreachable, type Session } from './client.ts'
import { readOrder, Usage, USAGE, type Order } from './order.ts'
import { formatUpgrade, isGood, isStanding } from './upgrade.ts'

const sessionFile = join(process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'weir', 'session.json')

/** A password or passphrase: from a terminal without showing it, else the first line of standard input. */
async function readSecret(what: string): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).split(/\r?\n/, 1)[0] ?? ''
  process.stderr.write(`${what}: `)
  const { stdin } = process
  stdin.setRawMode(true)
  try {
    let typed = ''
    for await (const chunk of stdin as AsyncIterable<Buffer>) {
      for (const char of chunk.toString()) {
        if (char === '\r' || char === '\n') return typed
        if (char === '\u0003') process.exit(130)
        typed = char === '\u007f' ? typed.slice(0, -1) : typed + char
      }
    }
    return typed
  } finally {
    stdin.setRawMode(false)
    process.stderr.write('\n')
  }
}

function readSession(): Session {
  try {
    return JSON.parse(readFileSync(sessionFile, 'utf8')) as Session
  } catch (cause) {
    throw new Usage('nobody is signed in here: weir login comes first', { cause })
  }
}

async function login({ controller, caFile, user }: Extract<Order, { is: 'login' }>): Promise<void> {
  let caPem: string
  try {
    caPem = readFileSync(caFile, 'utf8')
  } catch (cause) {
    throw new Usage(`${caFile} cannot be read: it is ca.pem of the controller's data folder`, { cause })
  }
  const password = await readSecret(`password of ${user}`)
  const answer = await send({ controller, caPem }, 'POST', '/login', { username: user, password })
  answer.resume()
  const session: Session = { controller, caPem, ...cookiesOf(answer.headers) }
  mkdirSync(dirname(sessionFile), { recursive: true, mode: 0o700 })
  writeFileSync(sessionFile, JSON.stringify(session), { mode: 0o600 })
  console.log(`signed in to ${controller} as ${user}`)
}

/** By name or uuid. */
async function find(session: Session, kind: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  const { results } = await readJson(await send(session, 'GET', `/api/${kind}?name=${encodeURIComponent(name)}`))
  const [found] = Array.isArray(results) ? (results as readonly Readonly<Record<string, unknown>>[]) : []
  return found ?? readJson(await send(session, 'GET', `/api/${kind}/${encodeURIComponent(name)}`))
}

async function list({ kind, isJson }: Extract<Order, { is: 'list' }>): Promise<void> {
  const session = readSession()
  for (let page = 1; ; page++) {
    const answer = await readJson(await send(session, 'GET', `/api/${kind}?page=${page}&page_size=200`))
    if (isJson) console.log(JSON.stringify(answer))
    else {
      const rows = Array.isArray(answer['results']) ? (answer['results'] as readonly Readonly<Record<string, unknown>>[]) : []
      for (const row of rows) console.log(`${String(row['uuid'])}  ${String(row['name'])}`)
    }
    if (answer['next'] === undefined) return
  }
}

async function createBackup(file: string): Promise<void> {
  const session = readSession()
  const passphrase = await readSecret('passphrase for the backup')
  const answer = await send(session, 'POST', '/api/backup', { passphrase })
  // Under another name until it is whole; what is there already is never lost to a failed one.
  const draft = `${file}.part`
  try {
    await pipeline(answer, createWriteStream(draft, { flags: 'w', mode: 0o600, flush: true }))
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft, { force: true })
    if (answer.complete)
      throw new Usage(`${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    throw new Unreachable('the controller ended before the backup was whole', { cause: error })
  }
  console.log(`${file}: without its passphrase nobody can restore it`)
}

/** The controller's own program does it: it alone knows the store. */
async function restoreBackup({ file, isForced }: Extract<Order, { is: 'backup-restore' }>): Promise<number> {
  const passphrase = await readSecret('passphrase of the backup')
  const main = resolve(import.meta.dirname, '../controller/main.ts')
  const child = spawn(process.execPath, [main, 'restore', file, ...(isForced ? ['--force'] : [])], {
    stdio: ['pipe', 'inherit', 'inherit']
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(`${passphrase}\n`)
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

const UPGRADE_LOOK_MS = 1_000

/** Prints how it is, and each time that is another, as long as somebody waits. */
async function upgrade({ verb, group, parallel, isWaiting }: Extract<Order, { is: 'upgrade' }>): Promise<number> {
  const session = readSession()
  const { uuid } = await find(session, 'serviceenginegroup', group)
  const at = `/api/serviceenginegroup/${String(uuid)}/upgrade`
  const read = async (): Promise<UpgradeView> => (await readJson(await send(session, 'GET', at))) as unknown as UpgradeView
  const body = parallel === null ? {} : { max_parallel: parallel }
  let view =
    verb === 'status' ? await read() : ((await readJson(await send(session, 'POST', `${at}/${verb}`, body))) as unknown as UpgradeView)
  let told = formatUpgrade(view)
  console.log(told)
  while (isWaiting && !isStanding(view)) {
    await new Promise(resolve => setTimeout(resolve, UPGRADE_LOOK_MS))
    view = await read()
    const now = formatUpgrade(view)
    if (now !== told) console.log(now)
    told = now
  }
  return !isWaiting || isGood(view) ? 0 : 1
}

async function carryOut(order: Order): Promise<number> {
  switch (order.is) {
    case 'help':
      console.log(USAGE)
      return 0
    case 'version':
      console.log(VERSION)
      return 0
    case 'login':
      await login(order)
      return 0
    case 'list':
      await list(order)
      return 0
    case 'get':
      console.log(JSON.stringify(await find(readSession(), order.kind, order.name), null, 2))
      return 0
    case 'delete': {
      const session = readSession()
      const { uuid } = await find(session, order.kind, order.name)
      ;(await send(session, 'DELETE', `/api/${order.kind}/${String(uuid)}`)).resume()
      console.log(`${order.kind} ${order.name} deleted`)
      return 0
    }
    case 'takeover': {
      const session = readSession()
      const { uuid } = await find(session, 'serviceengine', order.name)
      ;(await send(session, 'POST', `/api/serviceengine/${String(uuid)}/takeover`)).resume()
      console.log(`${order.name} taken over`)
      return 0
    }
    case 'upgrade':
      return upgrade(order)
    case 'backup-create':
      await createBackup(order.file)
      return 0
    case 'backup-restore':
      return restoreBackup(order)
  }
}

try {
  process.exitCode = await carryOut(readOrder(process.argv.slice(2)))
} catch (error) {
  const code = error instanceof Usage ? 2 : error instanceof Unreachable ? 3 : error instanceof RefusedByController ? 1 : undefined
  if (code === undefined) throw error
  console.error(error instanceof Error && error.message === USAGE ? USAGE : `weir: ${(error as Error).message}`)
  process.exitCode = code
}
