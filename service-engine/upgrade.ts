/**
 * Orders to change the engine's program. This process may not: it hands them to the part of its host that may (root's, started by systemd
 * for a connection to its socket), which believes the signature alone and writes down what became of them.
 */
import { createHash, createPublicKey, timingSafeEqual, verify } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import type { Log } from '#model/base/log.ts'
import { parseUpgradeOrder, type SignedOrder, type UpgradeOrder, type UpgradeOutcome } from '#model/message/upgrade.ts'

/** Beside the program: which build this is, and what became of the last order. */
const BUILD_FILE = 'digest'
const OUTCOME_FILE = 'order'
const ANSWER_MAX = 4_096

export interface Upgrader {
  /** Hands an order in; what becomes of it is told by `outcome`. */
  readonly ask: (order: SignedOrder & { readonly id: string }) => void
  /** Of the last order; undefined when there was none. */
  readonly outcome: () => UpgradeOutcome | undefined
}

/** What an order is handed in as: one line. */
export const orderLine = ({ order, signature, publicKey }: SignedOrder): string => `${JSON.stringify({ order, signature, publicKey })}\n`

/** SHA-256 of the archive that the program was installed from; undefined where no installer wrote it down. */
export function buildOf(programFile: string): string | undefined {
  const text = textOf(join(dirname(programFile), BUILD_FILE)).trim()
  return /^[0-9a-f]{64}$/.test(text) ? text : undefined
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** Reads `id issued done|failed reason`; undefined when it is not that. */
export function parseOutcome(text: string): UpgradeOutcome | undefined {
  const [, id, outcome, reason] = /^([0-9a-f-]{36}) \d{1,15} (done|failed) ([^\n]{0,1000})\n?$/.exec(text) ?? []
  return id === undefined ? undefined : { id, outcome: outcome === 'done' ? 'done' : 'failed', reason: reason ?? '' }
}

/** Undefined on a host that takes no orders. */
export function makeUpgrader(options: {
  readonly socketPath: string | null
  readonly programFile: string
  readonly log: Log
}): Upgrader | undefined {
  const { socketPath, programFile, log } = options
  if (socketPath === null || !existsSync(socketPath)) return undefined
  const outcomeFile = join(dirname(programFile), OUTCOME_FILE)
  /** That never came as far as to be carried out. */
  let refused: UpgradeOutcome | undefined
  const written = (): UpgradeOutcome | undefined => parseOutcome(textOf(outcomeFile))
  return {
    ask: order => {
      log.info('the controller orders another program', { order: order.id })
      refused = undefined
      let said = ''
      let isConnected = false
      const socket = connect({ path: socketPath })
      socket.on('connect', () => {
        isConnected = true
        socket.write(orderLine(order))
      })
      socket.on('error', error => {
        // Who is at another order takes none and closes.
        if (!isConnected) said = `the host does not take the order: ${error.message}`
      })
      socket.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(0, ANSWER_MAX)))
      socket.on('close', () => {
        // Without a word it is at it, or at another, or was before: the controller orders again.
        const reason = said.trim().split('\n').at(-1) ?? ''
        if (reason === '' || written()?.id === order.id) return
        log.warn('the order was not carried out', { order: order.id, reason })
        refused = { id: order.id, outcome: 'failed', reason }
      })
    },
    outcome: () => refused ?? written()
  }
}

export type CheckedOrder =
  | { readonly is: 'order'; readonly order: UpgradeOrder }
  /** In words. */
  | { readonly is: 'refused'; readonly reason: string }

/**
 * Judges an order as the part of the host that carries it out does.
 *
 * Shapes  line: as `orderLine` writes it, from anybody; pin: `sha256//<base64>` of the controller's key, as the host was given it
 * Returns why it is refused, or what it says
 */
export function checkOrder(
  line: string,
  host: { readonly pin: string; readonly engineId: string; readonly nowEpochMs: number }
): CheckedOrder {
  const refused = (reason: string): CheckedOrder => ({ is: 'refused', reason })
  const signed = readSigned(line)
  if (signed === undefined) return refused('it is no order')
  const key = Buffer.from(signed.publicKey, 'base64')
  const digest = createHash('sha256').update(key).digest()
  const wanted = Buffer.from(host.pin.replace(/^sha256\/\//, ''), 'base64')
  if (wanted.length !== digest.length || !timingSafeEqual(wanted, digest))
    return refused('it is not signed by the key of the controller that this host was installed from')
  const order = parseUpgradeOrder(signed.order)
  if (order === undefined) return refused('it is no order')
  try {
    const publicKey = createPublicKey({ key, format: 'der', type: 'spki' })
    const isSigned =
      publicKey.asymmetricKeyType === 'ec' &&
      verify('sha256', Buffer.from(signed.order), publicKey, Buffer.from(signed.signature, 'base64'))
    if (!isSigned) return refused('its signature is wrong')
  } catch {
    return refused('its signature is wrong')
  }
  if (order.engineId !== host.engineId) return refused('it is for another engine')
  if (host.nowEpochMs > order.expiresEpochMs) return refused('it has expired: is the clock of this host right?')
  return { is: 'order', order }
}

function readSigned(line: string): SignedOrder | undefined {
  if (line.length > ANSWER_MAX) return undefined
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { order, signature, publicKey } = value as Record<string, unknown>
  if (typeof order !== 'string' || typeof signature !== 'string' || typeof publicKey !== 'string') return undefined
  return { order, signature, publicKey }
}
