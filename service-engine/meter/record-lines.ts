/**
 * Access records as JSON lines, made where the exchange ends and at once: what is kept of a record until it is written is
 * bytes, not objects.
 */
import type { AccessRecord } from './shared.ts'

export interface RecordBatch {
  /** ASCII: everything else is escaped. */
  readonly lines: Uint8Array<ArrayBuffer>
  readonly count: number
}

/** What JSON text in ASCII cannot hold as it is. */
const special = /[^\x20\x21\x23-\x5b\x5d-\x7e]/
const beyondAscii = /[\x7f-\uffff]/g

function quote(text: string): string {
  if (!special.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(beyondAscii, found => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * One line, with its line feed.
 *
 * Shapes  at: the record's time as it is written
 * Returns JSON in ASCII; control characters are escaped, so that no request can forge a second line
 */
export function formatRecord(record: AccessRecord, at: string = new Date(record.atEpochMs).toISOString()): string {
  const who = `{"at":"${at}","virtualServiceId":${quote(record.virtualServiceId)},"virtualServiceName":${quote(record.virtualServiceName)},"clientIp":${quote(record.clientIp)},"clientPort":${record.clientPort}`
  const what = `,"method":${quote(record.method)},"scheme":"${record.scheme}","host":${quote(record.host)},"path":${quote(record.path)},"protocol":"${record.protocol}","status":${record.status}`
  const where = `,"rule":${quote(record.rule)},"poolName":${quote(record.poolName)},"server":${quote(record.server)}`
  const how = `,"bytesIn":${record.bytesIn},"bytesOut":${record.bytesOut},"attempts":${record.attempts},"sentUs":${record.sentUs},"connectUs":${record.connectUs},"firstByteUs":${record.firstByteUs},"totalUs":${record.totalUs}`
  return `${who}${what}${where}${how},"requestId":${quote(record.requestId)},"userAgent":${quote(record.userAgent)},"fault":"${record.fault}"${rttOf(record)}${fingerprintOf(record)}${hedgeOf(record)}${cacheOf(record)}${notesOf(record)}}\n`
}

/** Named as what it is: the kernel's own figure cannot be had. */
function rttOf({ clientRttUs = 0 }: AccessRecord): string {
  return clientRttUs === 0 ? '' : `,"clientRttEstimateUs":${clientRttUs}`
}

function fingerprintOf({ fingerprint }: AccessRecord): string {
  return fingerprint === undefined ? '' : `,"ja3":"${fingerprint.ja3}","ja4":"${fingerprint.ja4}"`
}

function hedgeOf({ hedge }: AccessRecord): string {
  return hedge === undefined ? '' : `,"hedge":"${hedge}"`
}

function cacheOf({ cache = '' }: AccessRecord): string {
  return cache === '' ? '' : `,"cache":"${cache}"`
}

function notesOf({ notes = '' }: AccessRecord): string {
  return notes === '' ? '' : `,"notes":${quote(notes)}`
}

/** A line is rarely longer; one that is waits for an empty buffer. */
const BUFFER_BYTES = 262_144

/** Lines that wait to leave the worker. */
export class RecordLines {
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0
  #count = 0
  #second = -1
  #secondText = ''

  get count(): number {
    return this.#count
  }

  /** False when there is no room for it: what waits is taken first. */
  add(record: AccessRecord): boolean {
    const line = formatRecord(record, this.#timeText(record.atEpochMs))
    if (line.length > BUFFER_BYTES - this.#used) return false
    this.#used += this.#buffer.write(line, this.#used, 'latin1')
    this.#count++
    return true
  }

  take(): RecordBatch {
    const batch = { lines: new Uint8Array(this.#buffer.subarray(0, this.#used)), count: this.#count }
    this.#used = 0
    this.#count = 0
    return batch
  }

  /** The part that is the same for a second is made once a second. */
  #timeText(epochMs: number): string {
    const second = Math.floor(epochMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#secondText = new Date(second * 1000).toISOString().slice(0, 20)
    }
    return `${this.#secondText}${String(Math.floor(epochMs) - second * 1000).padStart(3, '0')}Z`
  }
}
