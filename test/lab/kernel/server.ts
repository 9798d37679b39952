/** A server of TCP and UDP on port 7000 that says its name and who asked; port 7001 is there to ask for its health. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

const [name = ''] = process.argv.slice(2)
const plain = (address: string | undefined): string => (address ?? '').replace('::ffff:', '')
createServer(socket => {
  socket.on('error', () => undefined)
  socket.on('data', chunk => socket.write(chunk.length < 100 ? `${name} ${plain(socket.remoteAddress)} ${chunk.toString()}` : chunk))
}).listen(7000, '::')
const health = createServer(socket => socket.on('error', () => undefined).end('ok'))
health.listen(7001, '::')
const udp = createSocket('udp6')
udp.on('message', (datagram, from) => udp.send(`${name} ${plain(from.address)} ${datagram.toString()}`, from.port, from.address))
udp.bind(7000, '::')
process.stdin.on('data', chunk => {
  if (chunk.toString().includes('sick')) health.close()
  else health.listen(7001, '::')
})
process.stdin.on('end', () => process.exit(0))
