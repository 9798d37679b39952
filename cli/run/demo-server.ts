/** One of the two servers behind the demo service: says who it is and what it was asked. */
import { createServer } from 'node:http'

const name = process.argv[2] ?? 'demo'
const wantedPort = Number(process.argv[3] ?? 0)

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://demo')
  request.resume()
  request.on('end', () => {
    if (url.pathname === '/slow') {
      setTimeout(() => response.end(`${name} took its time\n`), 300)
      return
    }
    response.writeHead(url.pathname === '/missing' ? 404 : 200, { 'content-type': 'application/json' })
    response.end(`${JSON.stringify({ server: name, method: request.method, path: request.url, headers: request.headers }, null, 2)}\n`)
  })
})
server.keepAliveTimeout = 60_000

const listen = (port: number): void => {
  server.listen(port, '127.0.0.1')
}
server.once('listening', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ type: 'ready', port: address.port })
})
// The port of the last start may have been taken by somebody else since: any free one will do.
server.on('error', () => {
  if (!server.listening && wantedPort !== 0) listen(0)
  else process.exit(1)
})
listen(wantedPort)

process.on('disconnect', () => process.exit(0))
