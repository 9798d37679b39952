import type { FaultCode } from '#engine/base/fault.ts'
import type { Destination } from '../exchange/forwarder.ts'

/** Where to connect, as `node:net` and `node:tls` want to be told: a Unix socket, or address and port. */
export function endOf(
  destination: Destination,
  port = destination.port
): { readonly path: string } | { readonly host: string; readonly port: number } {
  const { path } = destination
  return path === undefined ? { host: destination.address(), port } : { path }
}

/** What this host is short of: descriptors, or memory of the kernel. */
const shortages: readonly (string | undefined)[] = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']

/** Whose fault it is that no connection came about. No server is blamed for what is missing here. */
export function connectFault(error: Error | null | undefined, isSecuring: boolean): FaultCode {
  if (shortages.includes((error as NodeJS.ErrnoException | null | undefined)?.code)) return 'ENGINE_EXHAUSTED'
  return isSecuring ? 'UPSTREAM_TLS_FAILED' : 'UPSTREAM_CONNECT_REFUSED'
}
