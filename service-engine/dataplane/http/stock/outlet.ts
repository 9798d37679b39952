/** The one `http-proxy-3` of a worker; what it reports is handed to the attempt that it belongs to. */
import { Stream } from 'node:stream'
import type { Agent, ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import httpProxy from 'http-proxy-3'

/** Servers are trusted with more than clients, but not without end. */
export const MAX_RESPONSE_HEAD_BYTES = 65_536

export interface OutletOrder {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly agent: Agent
  readonly address: string
  readonly port: number
  readonly isTls: boolean
}

export interface OutletEvents {
  /** The request object exists; nothing of it is sent before its body is written or ended. */
  readonly made: (request: ClientRequest) => void
  readonly socket: (request: ClientRequest, socket: Socket) => void
  readonly responded: (response: IncomingMessage) => void
  readonly failed: (error: Error) => void
}

/** Stands where the request's body would be piped from: the body flows only once a connection stands. */
class Gate extends Stream {
  readonly #made: (request: ClientRequest) => void

  constructor(made: (request: ClientRequest) => void) {
    super()
    this.#made = made
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    this.#made(destination as unknown as ClientRequest)
    return destination
  }
}

export class Outlet {
  readonly #proxy = httpProxy.createProxyServer({ selfHandleResponse: true })
  readonly #events = new WeakMap<object, OutletEvents>()

  constructor() {
    this.#proxy.on('proxyReq', (request, _req, res, _options, socket) => this.#events.get(res)?.socket(request, socket))
    this.#proxy.on('proxyRes', (response, _req, res) => this.#events.get(res)?.responded(response))
  }

  send(order: OutletOrder, events: OutletEvents): void {
    this.#events.set(order.response, events)
    this.#proxy.web(
      order.request,
      order.response,
      {
        target: { host: order.address, hostname: order.address, port: order.port, protocol: order.isTls ? 'https:' : 'http:' },
        agent: order.agent,
        // What http-proxy-3 makes its request's options from, and changes: a new one each time.
        ssl: { maxHeaderSize: MAX_RESPONSE_HEAD_BYTES },
        buffer: new Gate(request => events.made(request))
      },
      error => events.failed(error)
    )
  }
}
