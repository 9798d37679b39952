/**
 * A client: reads lines of JSON on standard input and answers each with one.
 *
 *   {"tcp": "10.0.0.1", "port": 80, "times": 4}   so many connections, one question each
 *   {"udp": ...}                                  the same with datagrams of one socket each
 *   {"open": "a", "host": ..., "port": ...}       opens a connection and keeps it
 *   {"say": "a", "text": "x"}                     asks on it
 *   {"send": "10.0.0.1", "port": 80, "bytes": n}  sends n bytes and waits until so many came back
 */
import { createSocket } from 'node:dgram'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

interface Order {
  readonly tcp?: string
  readonly udp?: string
  readonly open?: string
  readonly say?: string
  readonly send?: string
  readonly host?: string
  readonly text?: string
  readonly port?: number
  readonly times?: number
  readonly bytes?: number
}

const open = new Map<string, Socket>()

function answerOf(socket: Socket, text: string): Promise<string> {
  return new Promise(resolve => {
    const timer = setTimeout(() => end('silence'), 3_000)
    const end = (answer: string): void => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      resolve(answer)
    }
    socket.on('data', chunk => end(chunk.toString()))
    socket.on('error', error => end((error as NodeJS.ErrnoException).code ?? 'error'))
    socket.on('close', () => end('closed'))
    socket.write(text)
  })
}

async function overTcp(host: string, port: number): Promise<string> {
  const socket = connect(port, host)
  const answer = await answerOf(socket, 'hi')
  socket.destroy()
  return answer
}

function overUdp(host: string, port: number): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  return new Promise(resolve => {
    const timer = setTimeout(() => end('silence'), 1_000)
    const end = (answer: string): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    socket.on('message', datagram => end(datagram.toString()))
    socket.on('error', () => end('error'))
    socket.send('hi', port, host)
  })
}

function bulk(host: string, port: number, bytes: number): Promise<string> {
  const socket = connect(port, host, () => socket.write(Buffer.alloc(bytes)))
  return new Promise(resolve => {
    let seen = 0
    socket.on('data', chunk => {
      seen += chunk.length
      if (seen >= bytes) socket.end()
    })
    socket.on('error', error => resolve(error.message)).on('close', () => resolve(String(seen)))
  })
}

async function carryOut(order: Order): Promise<unknown> {
  const { tcp, udp, open: name, say, send, host = '', text = '', port = 0, times = 1, bytes = 0 } = order
  const all: string[] = []
  if (tcp !== undefined) for (let i = 0; i < times; i++) all.push(await overTcp(tcp, port))
  else if (udp !== undefined) for (let i = 0; i < times; i++) all.push(await overUdp(udp, port))
  else if (send !== undefined) return bulk(send, port, bytes)
  else if (name !== undefined) {
    const socket = connect(port, host)
    open.set(name, socket)
    return answerOf(socket, text)
  } else if (say !== undefined) return answerOf(open.get(say)!, text)
  return all
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify({ answer: await carryOut(JSON.parse(line) as Order) })}\n`)
}
process.exit(0)
