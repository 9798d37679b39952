import t from 'tap'
import { carryOut, BadOrder, type OrderServices } from '#engine/dataplane/filter/script/orders.ts'
import { MAX_ENTRIES, ScriptTable } from '#engine/dataplane/filter/script/table.ts'
import { normalizeTarget } from '#engine/dataplane/route/path.ts'
import { anExchange } from '#test/support/exchange.ts'
import { Sandbox } from '#engine/dataplane/filter/script/sandbox.ts'
import { readQuickJs } from '#engine/quickjs-file.ts'
import { aProgram, factsOf, openSandbox } from '#test/support/scripts.ts'

t.test('a program tells what it decided, and sees what it changed', async t => {
  const sandbox = await openSandbox()
  const run = (source: string): unknown => {
    const ran = aProgram(sandbox, source).run(factsOf())
    return ran.is === 'done' ? JSON.parse(ran.orders || '[]') : ran
  }
  t.same(run(''), [])
  t.same(run('// nothing'), [])
  t.same(run('weir.log(weir.request.cookie("b"), { a: 1 }, weir.tls)'), [['log', '2 {"a":1} null']])
  t.same(run('const h = weir.request.headers; h.set("X-A", 1); h.add("x-a", 2); weir.log(h.all("x-A").join())'), [
    ['request-set', 'x-a', '1'],
    ['request-add', 'x-a', '2'],
    ['log', '1,2']
  ])
  t.same(run('weir.request.headers.remove("cookie"); weir.log(weir.request.headers.names())'), [
    ['request-remove', 'cookie'],
    ['log', '["user-agent"]']
  ])
  t.same(run('class Own extends Error { constructor (m) { super(m) } }; try { throw new Own("x") } catch (e) { weir.log(e.message) }'), [
    ['log', 'x']
  ])
})

t.test('patterns do what they do anywhere', async t => {
  const sandbox = await openSandbox()
  const source = `weir.log('a-b'.split(/-/).join(), 'xyx'.replace(/x/g, 'z'), 'abc'.match(/b/)[0], new RegExp('A', 'i').test('a'),
    /a/ instanceof RegExp, [...'a1b2'.matchAll(/[0-9]/g)].join(), 'ab'.search('b'), new RegExp(/q/gi).flags, 'a.b'.split('.').length)`
  t.match(aProgram(sandbox, source).run(factsOf()), { is: 'done', orders: '[["log","a,b zyz b true true 1,2 1 gi 2"]]' })
})

t.test('the line of an error is the line of the script', async t => {
  const sandbox = await openSandbox()
  t.match(aProgram(sandbox, '\n\nnothing.here()').run(factsOf()), { is: 'failed', line: 3 })
  t.match(aProgram(sandbox, 'nothing.here()').run(factsOf()), { is: 'failed', line: 1 })
  t.match(aProgram(sandbox, 'const f = () => {\n  throw new Error("x")\n}\nf()').run(factsOf()), { is: 'failed', line: 2 })
})

t.test('a script that cannot be set up fails, and takes nothing else with it', async t => {
  const told: string[] = []
  const sandbox = await openSandbox(line => told.push(line))
  const honest = aProgram(sandbox, 'weir.log(1)')
  t.match(honest.run(factsOf()), { is: 'done' })
  const large = Array.from({ length: 5_000 }, (_, i) => `f(${i})`).join('\n')
  t.match(aProgram(sandbox, `const f = () => 1\n${large}`).run(factsOf()), { is: 'done' }, 'what may be written fits')
  for (const source of ['let = = 1', Array.from({ length: 60_000 }, (_, i) => `x${i}`).join(';')])
    for (let i = 0; i < 3; i++) t.match(aProgram(sandbox, source).run(factsOf()), { is: 'failed', message: /cannot be read/ })
  t.equal(sandbox.count, 2)
  t.match(honest.run(factsOf()), { is: 'done' })
  t.notMatch(told.join(), /loaded again/)
})

t.test('lists, texts and objects do what they do anywhere', async t => {
  const sandbox = await openSandbox()
  const source = `const told = [[3, 1, 2, 10].sort(), ['b', undefined, 'a'].sort(), [2, 1].sort((a, b) => a - b), [1, NaN].includes(NaN), [1, 2].includes(1, 1),
    [1, 2, 1].indexOf(1, 1), [1, 2, 1].indexOf(1, -1), [1, 2, 1].lastIndexOf(1), [1, 2, 1].lastIndexOf(1, 1), [, 1].indexOf(undefined), [, 1].includes(undefined),
    Math.max(), Math.min('3', 2), String.fromCharCode(97, '98'), Object.assign({ a: 1 }, null, { b: 2 }),
    JSON.stringify({ a: 1, b: [1, { c: 2, a: 3 }] }, ['a', 'b']), JSON.stringify({ a: undefined, b: () => 1, c: [undefined] }), JSON.stringify({ a: 1 }, (k, v) => k === '' ? v : v + 1)]
  weir.log(told)`
  const run = aProgram(sandbox, source).run(factsOf())
  t.equal(run.is, 'done', JSON.stringify(run))
  const [[, line]] = JSON.parse(run.orders) as [[string, string]]
  const holes: unknown[] = []
  holes[1] = 1
  const here = [
    [1, 10, 2, 3],
    ['a', 'b', null],
    [1, 2],
    true,
    false,
    2,
    2,
    2,
    0,
    holes.indexOf(undefined),
    holes.includes(undefined),
    null,
    2,
    'ab',
    { a: 1, b: 2 },
    '{"a":1,"b":[1,{"a":3}]}',
    '{"c":[null]}',
    '{"a":2}'
  ]
  t.same(JSON.parse(line), here)
})

t.test('a script that cannot be cut in time is not run for a while', async t => {
  const told: string[] = []
  let [cpu, now] = [1_000, 5_000]
  let costMs = 0
  const marks: string[] = []
  const mark = { begin: (script: string) => marks.push(script), end: () => marks.push('') }
  const sandbox = new Sandbox({ readWasm: readQuickJs, cpuMs: () => cpu, nowMs: () => now, mark, log: line => told.push(line) })
  await sandbox.ready()
  const ask = (): undefined => void (cpu += costMs)
  const slow = sandbox.program({ name: 'set/HTTP_REQ', source: 'weir.table.get("a")', timeLimitMs: 50, ask })
  const other = sandbox.program({ name: 'set/HTTP_REQ 2', source: 'weir.log(1)', timeLimitMs: 50, ask })
  t.match(slow.run(factsOf()), { is: 'done' })
  t.match(marks, [/^set\/HTTP_REQ #[0-9a-f]{12}$/, ''])
  costMs = 130
  slow.run(factsOf())
  t.same(told, [], 'a little too long is no reason')
  costMs = 450
  slow.run(factsOf())
  t.equal(told.length, 1)
  costMs = 0
  t.match(slow.run(factsOf()), { is: 'failed', message: /^rests for 20 s: it made a call that cannot be cut and took 400 ms too long/ })
  t.match(other.run(factsOf()), { is: 'done' }, 'others run')
  now += 19_000
  t.match(slow.run(factsOf()), { is: 'failed', message: /^rests for 1 s/ })
  now += 1_001
  t.match(slow.run(factsOf()), { is: 'done' })
  sandbox.bar([marks[0]!])
  t.match(slow.run(factsOf()), { is: 'failed', message: /held up a worker/ })
  t.match(other.run(factsOf()), { is: 'done' })
  const changed = sandbox.program({ name: 'set/HTTP_REQ', source: 'weir.table.get("b")', timeLimitMs: 50, ask })
  t.match(changed.run(factsOf()), { is: 'done' }, 'one that is changed is another')
})

t.test('100,000 runs hold no more memory than the first thousand', async t => {
  const sandbox = await openSandbox()
  const program = aProgram(
    sandbox,
    `const all = weir.request.headers.names().map(name => ({ name, value: weir.request.headers.get(name) }))
     weir.table.get('x')
     if (all.length > 1) weir.request.headers.set('x-a', all[0].value)`
  )
  const failing = aProgram(sandbox, 'const o = { a: weir }; o.o = o; throw new Error(weir.request.path)')
  const facts = factsOf()
  for (let i = 0; i < 1_000; i++) {
    program.run(facts)
    failing.run(facts)
  }
  const before = sandbox.memoryBytes
  const startedUs = process.threadCpuUsage().user
  for (let i = 0; i < 100_000; i++) if (program.run(facts).is !== 'done') t.fail('a run failed')
  t.comment(`${((process.threadCpuUsage().user - startedUs) / 100_000).toFixed(1)} us of processor time a run`)
  for (let i = 0; i < 10_000; i++) failing.run(facts)
  t.equal(sandbox.memoryBytes, before)
  t.equal(sandbox.count, 2)
})

t.test('runtimes are bounded: the one that was not used for the longest time is made anew', async t => {
  const sandbox = await openSandbox()
  const programs = Array.from({ length: 70 }, (_, i) => aProgram(sandbox, `weir.log(${i})`))
  for (const [i, program] of programs.entries()) t.match(program.run(factsOf()), { is: 'done', orders: `[["log","${i}"]]` })
  t.equal(sandbox.count, 64)
  t.match(programs[0]?.run(factsOf()), { is: 'done', orders: '[["log","0"]]' })
  t.equal(sandbox.count, 64)
})

t.test('ScriptTable keeps so many texts for a time', async t => {
  let nowMs = 0
  const table = new ScriptTable(() => nowMs)
  table.set('a', '1', 10)
  t.equal(table.get('a'), '1')
  t.equal(table.increment('n', 2, 10), 2)
  nowMs = 9_000
  t.equal(table.increment('n', 3, 10), 5)
  nowMs = 10_001
  t.equal(table.get('a'), undefined)
  t.equal(table.increment('n', 1, 10), 1, 'as long as its first addition said')
  for (let i = 0; i < MAX_ENTRIES + 5; i++) table.set(`k${i}`, '', 60)
  t.equal(table.size, MAX_ENTRIES)
  t.equal(table.get('k0'), undefined)
  for (const seconds of [0, -1, Number.NaN, 86_401]) t.throws(() => table.set('a', '', seconds), RangeError)
  t.throws(() => table.increment('n', Number.NaN, 1), RangeError)
})

t.test('carryOut believes nothing that comes out of a sandbox', async t => {
  const services: OrderServices = {
    set: { name: 's', pools: {}, poolGroups: {} },
    normalize: normalizeTarget,
    serverOf: () => undefined,
    replaceBody: () => {
      throw new BadOrder('there is no body')
    },
    log: () => undefined,
    count: () => undefined
  }
  const wrong = [
    ['unknown'],
    ['request-set', 'x-a', 'a\r\nb'],
    ['request-set', 'X-A', 'a'],
    ['request-set', 'transfer-encoding', 'chunked'],
    ['request-set', 'host', 'a b'],
    ['request-remove', 'content-length'],
    ['path', '/../..'],
    ['path', 'x'],
    ['query', 'a b'],
    ['pool', '__proto__'],
    ['pool', 'constructor'],
    ['group', 'toString'],
    ['server', '127.0.0.1', 1],
    ['respond', 99, [], ''],
    ['respond', 200, 'x', ''],
    ['respond', 200, [['a\n', 'b']], ''],
    ['respond', 200, [['connection', 'b']], ''],
    ['respond', 200, [], 5],
    ['request-body', 'x'],
    ['response-body', 'x'],
    ['request-body', 5],
    ['log', 5]
  ]
  for (const order of wrong) t.throws(() => carryOut(JSON.stringify([order]), anExchange(), services), BadOrder, JSON.stringify(order))
  const answered = anExchange()
  answered.response = { status: 204, reason: '', headers: [] }
  t.throws(() => carryOut('[["status",200]]', answered, services), BadOrder)
  answered.response = { status: 200, reason: '', headers: [] }
  t.throws(() => carryOut('[["status",304]]', answered, services), BadOrder)
  t.throws(() => carryOut('[["response-set","upgrade","x"]]', answered, services), BadOrder)
})
