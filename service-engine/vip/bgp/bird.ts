/**
 * What BIRD on this host says of its sessions with routers: asked by its control socket, read-only, as `birdc -r show protocols` does. Needs
 * no right but that to open the socket; nothing depends on the answer but what an operator is told.
 */
import { createConnection } from 'node:net'
import type { BirdSession, BirdState } from '#model/message/message.ts'

const ANSWER_WITHIN_MS = 1_000
const MAX_ANSWER = 1 << 18
const MAX_SESSIONS = 100
const MAX_WORD = 100

export const unasked: BirdState = { is: 'unknown', reason: 'BIRD was not asked yet', sessions: [] }

/**
 * Reads the answer to `show protocols`.
 *
 * Shapes  text: everything that BIRD said since the connection stood; lines of the form `<code><space or -><text>`, continued ones begin
 *         with a space
 * Returns undefined while it is not whole
 */
export function readProtocols(text: string): BirdState | undefined {
  const sessions: BirdSession[] = []
  let isListed = false
  for (const line of text.split('\n').slice(0, -1)) {
    const code = /^(\d{4})[ -]/.exec(line)?.[1]
    // Its own text after the code; a line that continues one has that of the line before.
    if (code === undefined && !line.startsWith(' '))
      return { is: 'unknown', reason: 'what answers at the socket is not BIRD', sessions: [] }
    const rest = line.slice(code === undefined ? 1 : 5)
    if (code !== undefined && Number(code) >= 8000) return { is: 'unknown', reason: `BIRD says: ${rest.slice(0, MAX_WORD)}`, sessions: [] }
    if (code === '2002') isListed = true
    const [name = '', kind, , state = '', ...more] = rest.trim().split(/\s+/)
    if (isListed && (code === undefined || code === '1002') && kind === 'BGP' && sessions.length < MAX_SESSIONS) {
      // Since when comes first: a time, a date, or both.
      const info = more.slice(more.findIndex(word => !/^[\d:.-]+$/.test(word)))
      const isUp = state === 'up' && info[0] === 'Established'
      sessions.push({ name: name.slice(0, MAX_WORD), isUp, state: `${state} ${info.join(' ')}`.slice(0, MAX_WORD) })
    }
    if (code === '0000') return judged(sessions)
  }
  return undefined
}

function judged(sessions: readonly BirdSession[]): BirdState {
  if (sessions.some(({ isUp }) => isUp)) return { is: 'up', reason: '', sessions }
  const reason = sessions.length === 0 ? 'BIRD has no protocol of kind BGP' : 'BIRD has no session with a router'
  return { is: 'down', reason, sessions }
}

const whys: Readonly<Record<string, readonly [BirdState['is'], string]>> = {
  ENOENT: ['unknown', 'there is no BIRD at'],
  EACCES: ['unknown', 'the engine may not open BIRD’s socket'],
  ECONNREFUSED: ['down', 'BIRD does not run: nobody answers at']
}

/** Asks BIRD. Never throws: what goes wrong is its state. */
export function askBird(socketPath: string): Promise<BirdState> {
  return new Promise(done => {
    let seen = ''
    const socket = createConnection({ path: socketPath })
    const end = (state: BirdState): void => {
      clearTimeout(timer)
      socket.destroy()
      done(state)
    }
    const timer = setTimeout(() => end({ is: 'down', reason: 'BIRD does not answer', sessions: [] }), ANSWER_WITHIN_MS)
    socket.setEncoding('utf8')
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const [is, what] = whys[error.code ?? ''] ?? ['unknown', `BIRD cannot be asked (${error.code ?? error.message}) at`]
      end({ is, reason: `${what} ${socketPath}`, sessions: [] })
    })
    socket.on('close', () => end({ is: 'down', reason: 'BIRD closed the connection', sessions: [] }))
    socket.on('data', (chunk: string) => {
      seen += chunk
      // `restrict` is answered by a line of its own: all that follows may read only.
      const answer = seen.length > MAX_ANSWER ? { ...unasked, reason: 'BIRD says too much' } : readProtocols(seen)
      if (answer !== undefined) end(answer)
    })
    socket.write('restrict\nshow protocols\n')
  })
}
