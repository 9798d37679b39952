/** An address field is one text; its family follows from what was typed. */
import { isHostname, parseAddress } from '#model/resource/address.ts'

export interface AddressValue {
  readonly addr: string
  readonly type: 'V4' | 'V6' | 'DNS'
}

/** `10.0.0.1` -> V4, `::1` -> V6, a name -> DNS; what is neither is sent as V4 and refused in words by the API. */
export function addressValue(text: string): AddressValue {
  const addr = text.trim()
  const parsed = parseAddress(addr)
  if (parsed) return { addr, type: parsed.family === 6 ? 'V6' : 'V4' }
  return { addr, type: isHostname(addr) ? 'DNS' : 'V4' }
}

export interface ServerLine {
  readonly ip: AddressValue
  readonly hostname?: string
  readonly port?: number
  readonly resolve_server_by_dns?: true
}

/**
 * Servers as one types them, one a line or separated by commas: `10.0.0.1`, `10.0.0.1:8080`, `[::1]:80`, `app.example:80`.
 *
 * Returns in the order typed; empty lines are left out; a port that is no number stays in the address and is refused there
 */
export function parseServers(text: string): readonly ServerLine[] {
  return text
    .split(/[\n,]/u)
    .map(line => line.trim())
    .filter(line => line !== '')
    .map(line => {
      const bracketed = /^\[([^\]]+)\](?::(\d+))?$/u.exec(line)
      const plain = /^([^:]+):(\d+)$/u.exec(line)
      const [, host = line, port] = bracketed ?? plain ?? [line, line]
      const ip = addressValue(host)
      return {
        ip,
        ...(port === undefined ? {} : { port: Number(port) }),
        ...(ip.type === 'DNS' ? { hostname: ip.addr, resolve_server_by_dns: true as const } : {})
      }
    })
}
