/** What is read of a TLS ClientHello: its server name and its ticket. RFC 8446 §4.1.2, §4.2.11, RFC 6066 §3, RFC 5077 §3.2. */

export type ServerName = { readonly is: 'name'; readonly name: string } | { readonly is: 'none' } | { readonly is: 'incomplete' }

/** A ClientHello that is longer is not waited for. */
const MAX_HELLO_BYTES = 65_536
const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const SESSION_TICKET = 35
const PRE_SHARED_KEY = 41
const HOST_NAME = 0

const NONE: ServerName = { is: 'none' }
const INCOMPLETE: ServerName = { is: 'incomplete' }

/**
 * Finds the name that a client asks for, in lower case. It only chooses a certificate: what is not understood is
 * `none`, and the TLS library then says what is wrong with it.
 *
 * Shapes  bytes: what came so far from the beginning of the connection, cut anywhere
 */
export function readServerName(bytes: Uint8Array): ServerName {
  const message = helloIn(bytes)
  if (!(message instanceof Uint8Array)) return message
  const list = extensionIn(message, SERVER_NAME)
  return list === undefined ? NONE : nameIn(list)
}

export interface ShownTicket {
  readonly bytes: Uint8Array
  /** As TLS 1.3 shows it: clients use each once. */
  readonly isOnce: boolean
}

/**
 * The ticket of a session that a client would go on with; of several the first. What is not understood is none.
 *
 * Shapes  bytes: a whole ClientHello, or what came so far
 */
export function readTicket(bytes: Uint8Array): ShownTicket | undefined {
  const message = helloIn(bytes)
  if (!(message instanceof Uint8Array)) return undefined
  const keys = extensionIn(message, PRE_SHARED_KEY)
  if (keys !== undefined) {
    const size = number(keys, 2, 2)
    return size > 0 && 4 + size <= keys.length ? { bytes: keys.subarray(4, 4 + size), isOnce: true } : undefined
  }
  const ticket = extensionIn(message, SESSION_TICKET)
  return ticket === undefined || ticket.length === 0 ? undefined : { bytes: ticket, isOnce: false }
}

/** What an extension carries; undefined where there is none, or it is cut off. */
function extensionIn(message: Uint8Array, wanted: number): Uint8Array | undefined {
  // legacy_version, random; session id; cipher suites; compression methods
  let at = 34
  at = skip(message, at, 1)
  at = skip(message, at, 2)
  at = skip(message, at, 1)
  const end = at + 2 + number(message, at, 2)
  at += 2
  while (at + 4 <= end && end <= message.length) {
    const kind = number(message, at, 2)
    const size = number(message, at + 2, 2)
    if (kind === wanted) return at + 4 + size <= end ? message.subarray(at + 4, at + 4 + size) : undefined
    at += 4 + size
  }
  return undefined
}

/** The body of the ClientHello, joined from its records. */
export function helloIn(bytes: Uint8Array): Uint8Array | ServerName {
  const pieces: Uint8Array[] = []
  let length = 0
  let at = 0
  for (;;) {
    if (bytes.length > at && bytes[at] !== HANDSHAKE) return NONE
    if (bytes.length < at + 5) return INCOMPLETE
    const size = number(bytes, at + 3, 2)
    if (size === 0) return NONE
    const piece = bytes.subarray(at + 5, at + 5 + size)
    pieces.push(piece)
    length += piece.length
    const joined = pieces.length === 1 ? piece : Buffer.concat(pieces)
    if (length >= 1 && joined[0] !== CLIENT_HELLO) return NONE
    if (length >= 4) {
      const wanted = number(joined, 1, 3)
      if (wanted > MAX_HELLO_BYTES) return NONE
      if (length >= 4 + wanted) return joined.subarray(4, 4 + wanted)
    }
    if (piece.length < size) return INCOMPLETE
    at += 5 + size
  }
}

function nameIn(list: Uint8Array): ServerName {
  const size = number(list, 3, 2)
  if (list.length < 5 || list[2] !== HOST_NAME || list.length < 5 + size) return NONE
  const name = Buffer.from(list.buffer, list.byteOffset + 5, size)
    .toString('latin1')
    .toLowerCase()
  return /^[a-z0-9_.-]{1,255}$/.test(name) ? { is: 'name', name } : NONE
}

/** Big-endian; NaN beyond the end, which no comparison holds for. */
export function number(bytes: Uint8Array, at: number, size: number): number {
  let value = 0
  for (let i = 0; i < size; i++) value = value * 256 + (bytes[at + i] ?? Number.NaN)
  return value
}

/** Behind a vector whose length takes `size` bytes. */
function skip(bytes: Uint8Array, at: number, size: number): number {
  return at + size + number(bytes, at, size)
}
