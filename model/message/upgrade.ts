/**
 * The order that changes the program of an engine. The part of its host that may do so is no part of the engine and believes the signature
 * alone: engine and network only carry it. Text, so that what is signed is what is read.
 */

/** Longer than what a stranger may choose of any text that the same key signs in a TLS handshake. */
const FIRST_LINE = 'weir: order to change the program of a service engine, 1'

export interface UpgradeOrder {
  /** Of the order, a UUID. */
  readonly id: string
  /** Uuid of the engine that it is for. */
  readonly engineId: string
  /** SHA-256 of the archive of the build that the host shall run, hexadecimal. */
  readonly build: string
  /** Orders are carried out in this order; one that is not newer than the last is not carried out. */
  readonly issuedEpochMs: number
  readonly expiresEpochMs: number
}

export interface SignedOrder {
  /** As `formatUpgradeOrder` writes it. */
  readonly order: string
  /** ECDSA with SHA-256 of that text, DER in base64. */
  readonly signature: string
  /** The key that made it: SPKI, DER in base64. */
  readonly publicKey: string
}

const fields = {
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  engine: /^serviceengine-[0-9a-f-]{36}$/,
  build: /^[0-9a-f]{64}$/,
  issued: /^[1-9]\d{11,14}$/,
  expires: /^[1-9]\d{11,14}$/
} as const

/** Writes an order as `parseUpgradeOrder` reads it; throws RangeError when that would not. */
export function formatUpgradeOrder(order: UpgradeOrder): string {
  const { id, engineId, build, issuedEpochMs, expiresEpochMs } = order
  const text = `${FIRST_LINE}\nid ${id}\nengine ${engineId}\nbuild ${build}\nissued ${issuedEpochMs}\nexpires ${expiresEpochMs}\n`
  if (parseUpgradeOrder(text) === undefined) throw new RangeError('an order has a UUID, an engine, a build and two times')
  return text
}

/**
 * Reads an order; every line is there once, in this order, and nothing else.
 *
 * Returns undefined when it is none
 * Cost    O(1): longer than an order can be is not looked at
 */
export function parseUpgradeOrder(text: string): UpgradeOrder | undefined {
  if (text.length > 512) return undefined
  const lines = text.split('\n')
  const names = Object.keys(fields) as (keyof typeof fields)[]
  if (lines.length !== names.length + 2 || lines[0] !== FIRST_LINE || lines.at(-1) !== '') return undefined
  const values = names.map((name, i) => {
    const line = lines[i + 1]!
    const value = line.slice(name.length + 1)
    return line.startsWith(`${name} `) && fields[name].test(value) ? value : undefined
  })
  const [id, engineId, build, issued, expires] = values
  if (id === undefined || engineId === undefined || build === undefined || issued === undefined || expires === undefined) return undefined
  return { id, engineId, build, issuedEpochMs: Number(issued), expiresEpochMs: Number(expires) }
}

/** What became of an order. */
export interface UpgradeOutcome {
  /** Of the order. */
  readonly id: string
  readonly outcome: 'done' | 'failed'
  /** What the host says of it, one line. */
  readonly reason: string
}
