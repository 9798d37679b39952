/** Two real engines of four workers each and a controller: one limit, whichever engine is asked. */
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { windowEndMs } from '#model/snapshot/limit.ts'
import type { Part } from '#model/snapshot/snapshot.ts'
import { aFolder, joinFolder } from '#test/support/agent.ts'
import { aFleet } from '#test/support/fleet.ts'
import { ask } from '#test/support/data-plane.ts'
import { freePorts } from '#test/support/ports.ts'
import { aLimit, aListener, aRule, aService } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'
import { aWholeEngine } from '#test/support/whole-engine.ts'

const WORKERS = 4
const CONNECTIONS = 8
const STEP_MS = 10
const request = 'GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n'

interface Load {
  /** From now on so many a second. */
  offer: (perSecond: number) => void
  readonly admitted: () => number
  readonly answered: () => number
}

/** Sends what is due each few milliseconds, whatever has been answered; answers are counted, not read. */
function aLoad(t: Test, port: number): Load {
  let [rate, due, admitted, answered, turn] = [0, 0, 0, 0, 0]
  let atMs = performance.now()
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let rest = ''
    socket.on('data', (chunk: Buffer) => {
      const text = rest + chunk.toString('latin1')
      let end = 0
      for (const match of text.matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        answered++
        if (match[1] === '200') admitted++
        end = match.index + match[0].length
      }
      // The beginning of the next one may have come already.
      rest = text.slice(Math.max(end, text.length - 11))
    })
    socket.on('error', () => undefined)
    t.teardown(() => socket.destroy())
    return socket
  })
  const timer = setInterval(() => {
    const nowMs = performance.now()
    // A machine that stood still does not make up for it at once.
    due += (Math.min(100, nowMs - atMs) * rate) / 1_000
    atMs = nowMs
    const each = Math.floor(due / CONNECTIONS)
    due -= each * CONNECTIONS
    const extra = Math.floor(due)
    due -= extra
    for (const [i, socket] of sockets.entries()) {
      const count = each + ((i + turn) % CONNECTIONS < extra ? 1 : 0)
      if (count > 0) socket.write(request.repeat(count))
    }
    turn++
  }, STEP_MS)
  t.teardown(() => clearInterval(timer))
  return { offer: perSecond => void (rate = perSecond), admitted: () => admitted, answered: () => answered }
}

t.test('1,000 a second over two engines of four workers at 5,000 offered', { timeout: 180_000 }, async t => {
  const ports = await freePorts(2)
  const uuids: string[] = []
  const limit = { ...aLimit(), id: 'vs-1/requests', engines: 2, seed: [5, 6] as const }
  const partsOf = (uuid: string): Part[] => {
    const i = uuids.indexOf(uuid)
    if (i < 0) return []
    const answer = aRule({ name: 'p / answer', action: { is: 'respond', status: 200, contentType: 'text/plain', bodyBase64: 'b2s=' } })
    return [
      aService({
        listeners: [aListener({ port: ports[i]! })],
        requestLimit: limit,
        requestRules: [answer],
        target: null,
        accessLog: { isEnabled: false, isSignificantOnly: false }
      })
    ]
  }
  const fleet = await aFleet(t, { partsOf })
  const folders = [aFolder(t), aFolder(t)]
  for (const [i, folder] of folders.entries()) uuids.push(await joinFolder(fleet, folder, `host-${i}`))
  await fleet.put('virtualservice', 'vs-1', { name: 'shop' })
  fleet.placed.set('vs-1', { engineUuids: uuids, enginesWanted: 2, reasons: [] })
  const engines = [await aWholeEngine(t, folders[0]!, WORKERS), await aWholeEngine(t, folders[1]!, WORKERS)]
  await until('both engines serve', () => engines.every(engine => engine.bound().length === 1), 60_000)
  const loads = ports.map(port => aLoad(t, port))
  const shares = () =>
    uuids.map(uuid => fleet.fleet.virtualServiceRuntime('vs-1')?.limits?.[0]?.engines.find(one => one.engine_uuid === uuid)?.share ?? 0)

  const sum = (of: 'admitted' | 'answered'): number => loads.reduce((total, load) => total + load[of](), 0)
  /** Waits for three seconds in a row that are as they should be: the machine may have other things to do meanwhile. */
  const holds = async (what: string, offered: readonly [number, number]): Promise<void> => {
    for (const [i, load] of loads.entries()) load.offer(offered[i]!)
    const seconds: string[] = []
    let good = 0
    const startedAtMs = performance.now()
    const startedWith = sum('admitted')
    let [atMs, admitted, answered] = [startedAtMs, startedWith, sum('answered')]
    await until(
      `${what}: three seconds in a row between 950 and 1,050`,
      () => {
        const passedMs = performance.now() - atMs
        if (passedMs < 1_000) return false
        const [got, of] = [sum('admitted') - admitted, sum('answered') - answered]
        ;[atMs, admitted, answered] = [performance.now(), sum('admitted'), sum('answered')]
        const perS = Math.round((got * 1_000) / passedMs)
        seconds.push(`${perS} of ${Math.round((of * 1_000) / passedMs)}`)
        good = perS >= 950 && perS <= 1_050 && (of * 1_000) / passedMs > 3_000 ? good + 1 : 0
        return good === 3
      },
      60_000
    ).finally(() =>
      t.comment(
        `${what}: ${seconds.join(', ')} (shares ${shares()
          .map(share => share.toFixed(3))
          .join(' and ')})`
      )
    )
    const passedS = (performance.now() - startedAtMs) / 1_000
    const total = sum('admitted') - startedWith
    t.ok(total <= 1_000 * passedS + 150, `${what}: ${total} in ${passedS} s`)
  }

  await holds('both alike', [2_500, 2_500])
  await holds('all at one', [5_000, 0])
  t.ok(shares()[0]! > 0.95, shares().join())
  await holds('four to one', [4_000, 1_000])
  await holds('all at the other', [0, 5_000])

  await engines[0]!.stop(0)
  await until('the share of an engine that is gone is given back', () => shares()[1]! > 0.999)
  await holds('one engine is gone', [0, 5_000])
  t.match(fleet.fleet.virtualServiceRuntime('vs-1')?.limits, [{ name: 'requests', engines: [{ engine_name: /^host-/ }] }])

  await fleet.fleet.stop()
  await holds('without a controller', [0, 5_000])
})

t.test('a quota is counted by the controller, and outlives engine and controller', { timeout: 120_000 }, async t => {
  const [port = 0] = await freePorts(1)
  const answer = aRule({ name: 'p / answer', action: { is: 'respond', status: 200, contentType: 'text/plain', bodyBase64: 'b2s=' } })
  const quota = { count: 5, period: 'month' } as const
  const service = aService({
    listeners: [aListener({ port })],
    requestLimit: { ...aLimit({ count: 1_000_000, burst: 1_000 }), id: 'vs-1/requests', seed: [5, 6], quota },
    requestRules: [answer],
    target: null
  })
  const services = new Map<string, Part>([['vs-1', service]])
  const fleet = await aFleet(t, { services })
  const folder = aFolder(t)
  const uuid = await joinFolder(fleet, folder)
  await fleet.put('virtualservice', 'vs-1', { name: 'shop' })
  const place = { engineUuids: [uuid], enginesWanted: 1, reasons: [] }
  fleet.placed.set('vs-1', place)
  const engine = await aWholeEngine(t, folder, WORKERS)
  await until('it serves', () => engine.bound().length === 1, 60_000)
  const statuses: number[] = []
  for (let i = 0; i < 6; i++) statuses.push((await ask(port)).status)
  t.same(statuses, [200, 200, 200, 200, 200, 429])
  const { headers } = await ask(port)
  const secondsLeft = (windowEndMs('month', Date.now()) - Date.now()) / 1_000
  t.ok(Math.abs(Number(headers['retry-after']) - secondsLeft) < 60, `${headers['retry-after']} of ${secondsLeft}`)
  t.match(headers, { ratelimit: /^"quota";r=0;t=\d+$/, 'ratelimit-policy': '"quota";q=5;w=2678400' })
  const used = (of = fleet) => of.fleet.virtualServiceRuntime('vs-1')?.limits?.[0]?.quota
  await until('the controller knows', () => used()?.used === 5)
  t.match(used(), { count: 5, left: 0, keys: 1, ends_at: windowEndMs('month', Date.now()) })

  await engine.stop(0)
  await until('it is gone', () => fleet.fleet.engineRuntime(uuid)?.connected === false)
  await aWholeEngine(t, folder, WORKERS)
  await until('it is back', () => fleet.fleet.engineRuntime(uuid)?.connected === true, 60_000)
  const after: number[] = []
  await until('it knows what is left', async () => (after.push((await ask(port)).status), after.at(-1) === 429))
  t.ok(after.length <= 5, `it would have let five through: ${after.join()}`)

  await fleet.fleet.stop()
  const next = await aFleet(t, { store: fleet.store, services, port: fleet.fleet.port, authorityOf: fleet })
  next.placed.set('vs-1', place)
  t.ok(used(next)!.used >= 5, 'the next controller begins where the last one ended')
  await until('it is connected again', () => next.fleet.engineRuntime(uuid)?.connected === true, 60_000)
  t.equal((await ask(port)).status, 429)
})
