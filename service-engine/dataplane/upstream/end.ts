import type { Destination } from '../exchange/forwarder.ts'

/** Where to connect, as `node:net` and `node:tls` want to be told: a Unix socket, or address and port. */
export function endOf(
  destination: Destination,
  port = destination.port
): { readonly path: string } | { readonly host: string; readonly port: number } {
  const { path } = destination
  return path === undefined ? { host: destination.address(), port } : { path }
}
