/** Layer 4 over the whole product: what is posted over REST is on the wire. Nothing here is forwarded by the kernel of this machine. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import t from 'tap'
import { readProxyHeader, writeProxyHeader } from '#engine/dataplane/listen/proxy-protocol.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { startWeir, type Session } from '#test/support/weir.ts'

t.setTimeout(300_000)

async function post(session: Session, kind: string, body: object): Promise<string> {
  const answer = await session.call('POST', `/api/${kind}`, body)
  if (answer.status !== 201) throw new Error(`${kind}: ${answer.status} ${answer.text}`)
  return (answer.json() as { uuid: string }).uuid
}

async function udpEcho(): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.on('message', (datagram, from) => socket.send(`echo ${datagram.toString()}`, from.port, from.address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

/** Tells who the client is, by the header that it got, and what came after it. */
async function teller(): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createServer(socket => {
    let seen: Buffer = Buffer.alloc(0)
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk])
      const found = readProxyHeader(seen)
      if (found.is === 'header' && seen.length > found.length) socket.end(`${found.source?.ip} ${seen.subarray(found.length).toString()}`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

function askUdp(port: number): Promise<string | undefined> {
  const socket = createSocket('udp4')
  return new Promise(resolve => {
    const timer = setTimeout(() => end(undefined), 500)
    const end = (answer: string | undefined): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    socket.on('message', datagram => end(datagram.toString()))
    socket.send('hi', port, '127.0.0.1')
  })
}

function read(socket: ReturnType<typeof connect>): Promise<string | undefined> {
  let seen = ''
  return new Promise(resolve => {
    socket.on('data', (chunk: Buffer) => (seen += chunk.toString()))
    socket.on('error', () => resolve(undefined)).on('close', () => resolve(seen === '' ? undefined : seen))
  })
}

t.test('layer 4, from REST to the wire', async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  const session = await weir.signIn()
  await post(session, 'vsvip', { name: 'l4', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  const pool = (name: string, port: number, more: object = {}) =>
    post(session, 'pool', { name, servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port }], ...more })
  const service = (name: string, services: readonly object[], more: object): Promise<string> =>
    post(session, 'virtualservice', { name, services, vsvip_ref: '/api/vsvip/?name=l4', pool_ref: `/api/pool/?name=${name}`, ...more })
  const l4 = '/api/applicationprofile/?name=System-L4-Application'

  await t.test('UDP, watched by its monitor', async t => {
    const echo = await udpEcho()
    t.teardown(() => void echo.close())
    const [port = 0] = await freePorts(1)
    await post(session, 'networkprofile', { name: 'udp', profile: { type: 'PROTOCOL_TYPE_UDP_PROXY' } })
    await post(session, 'healthmonitor', {
      name: 'udp-echo',
      type: 'HEALTH_MONITOR_UDP',
      send_interval: 2,
      receive_timeout: 1,
      udp_monitor: { udp_request: 'ping', udp_response: 'echo ping' }
    })
    await pool('dns', echo.address().port, { health_monitor_refs: ['/api/healthmonitor/?name=udp-echo'] })
    const uuid = await service('dns', [{ port }], { application_profile_ref: l4, network_profile_ref: '/api/networkprofile/?name=udp' })
    t.equal(await until('an answer', () => askUdp(port)), 'echo hi')
    await until('it is up', async () => {
      const { oper_status: status } = (await session.call('GET', `/api/virtualservice/${uuid}/runtime`)).json() as {
        oper_status: { state: string }
      }
      return status.state === 'OPER_UP' ? status : undefined
    })
  })

  await t.test('the PROXY protocol in and out, and a range of ports', async t => {
    const server = await teller()
    t.teardown(server.close)
    const [port = 0] = await freePorts(1)
    await post(session, 'applicationprofile', {
      name: 'telling',
      type: 'APPLICATION_PROFILE_TYPE_L4',
      tcp_app_profile: { proxy_protocol_enabled: true, proxy_protocol_version: 'PROXY_PROTOCOL_VERSION_2' }
    })
    await pool('tell', server.port)
    await service('tell', [{ port, accept_proxy_protocol: true }], { application_profile_ref: '/api/applicationprofile/?name=telling' })
    const answer = await until('an answer', () => {
      const socket = connect(port, '127.0.0.1')
      socket.write(writeProxyHeader(1, { ip: '192.0.2.7', port: 1 }, { ip: '192.0.2.8', port: 2 }))
      socket.write('hi')
      return read(socket)
    })
    t.equal(answer, '192.0.2.7 hi')
  })

  await t.test('TCP out of TLS', async t => {
    const server = createServer(socket => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => void server.close())
    const [port = 0] = await freePorts(1)
    await pool('secure', (server.address() as AddressInfo).port)
    await service('secure', [{ port, enable_ssl: true }], {
      application_profile_ref: '/api/applicationprofile/?name=System-SSL-Application',
      ssl_key_and_certificate_refs: ['/api/sslkeyandcertificate/?name=System-Default-Cert']
    })
    const answer = await until('an answer', () => {
      const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => socket.end('hi'))
      return read(socket)
    })
    t.equal(answer, 'hi')
  })

  await t.test('what cannot be is refused', async t => {
    await post(session, 'applicationprofile', { name: 'seen', type: 'APPLICATION_PROFILE_TYPE_L4', preserve_client_ip: true })
    const answer = await session.call('POST', '/api/virtualservice', {
      name: 'refused',
      services: [{ port: 4000, port_range_end: 3999 }],
      vsvip_ref: '/api/vsvip/?name=l4',
      pool_ref: '/api/pool/?name=tell',
      application_profile_ref: '/api/applicationprofile/?name=seen'
    })
    t.equal(answer.status, 422)
    t.match(answer.text, /port_range_end/)
    t.match(answer.text, /must be a fast path profile/)
  })
})
