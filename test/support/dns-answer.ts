/** Answers of a DNS server, byte by byte. */

export function dnsName(name: string): Buffer {
  const labels = name.split('.').flatMap(label => [Buffer.from([label.length]), Buffer.from(label)])
  return Buffer.concat([...labels, Buffer.from([0])])
}

export interface AnswerOptions {
  readonly rcode?: number
  readonly isTruncated?: boolean
  readonly records?: readonly { readonly type: number; readonly data: Buffer }[]
}

/** The answer to a query, whose name each record points to. */
export function dnsAnswer(query: Buffer, { rcode = 0, isTruncated = false, records = [] }: AnswerOptions): Buffer {
  const head = Buffer.from(query)
  head.writeUInt16BE(0x8180 | rcode | (isTruncated ? 0x0200 : 0), 2)
  head.writeUInt16BE(records.length, 6)
  const rows = records.flatMap(({ type, data }) => {
    const row = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, 0])
    row.writeUInt16BE(data.length, 10)
    return [row, data]
  })
  return Buffer.concat([head, ...rows])
}
