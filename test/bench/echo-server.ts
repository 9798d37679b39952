/** Servers behind the proxies that nginx cannot be: `node echo-server.ts websocket|grpc <port>` on loopback. */
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer, type Socket } from 'node:net'
import { WEBSOCKET_ANSWER, WEBSOCKET_SENT } from './case.ts'

/** Answers each message by one, without looking into it: only its length counts here. */
function echo(socket: Socket): void {
  let head = ''
  let isOpen = false
  let bytes = 0
  const count = (length: number): void => {
    bytes += length
    for (; bytes >= WEBSOCKET_SENT.length; bytes -= WEBSOCKET_SENT.length) socket.write(WEBSOCKET_ANSWER)
  }
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    if (isOpen) return count(chunk.length)
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    isOpen = true
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
    )
    count(head.length - end - 4)
  })
}

const grpcAnswer = Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, 120)])

const [kind = '', port = ''] = process.argv.slice(2)
if (kind === 'websocket') createServer(echo).listen(Number(port), '127.0.0.1', 4_096)
else {
  const server = createHttp2Server({ settings: { maxConcurrentStreams: 10_000 } })
  server.on('sessionError', () => undefined)
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined)
    stream.on('data', () => undefined)
    stream.on('end', () => {
      // A load that is over goes in the middle of its requests.
      if (stream.destroyed) return
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => {
        if (!stream.destroyed) stream.sendTrailers({ 'grpc-status': '0' })
      })
      stream.end(grpcAnswer)
    })
  })
  server.listen(Number(port), '127.0.0.1', 4_096)
}
