/** Scripts that mean harm: each is cut, and the next script of the same sandbox runs as if nothing had been. */
import t from 'tap'
import { aProgram, cpuMs, factsOf, openSandbox } from '#test/support/scripts.ts'

const twoTexts =
  'const a = "x".repeat(400000), b = "x".repeat(400000) + "b", list = Array.from({ length: 20000 }, (_, i) => i % 2 ? a : b);'
const manyFields = 'const o = {}; for (let i = 0; i < 3000; i++) o["k" + i] = undefined;'

/** source -> what is said of it; undefined where it may end well, having done nothing. */
const hostile: readonly (readonly [source: string, said: RegExp | undefined])[] = [
  // Without end.
  ['for (;;);', /took longer/],
  ['for (;;) try { throw 1 } catch {}', /took longer/],
  ['const go = () => { for (;;) try { go() } catch {} }; go()', /took longer|stack overflow/],
  ['(function f () { try { f() } finally { f() } })()', /took longer/],
  ['(function f () { try { f() } catch { f() } })()', /took longer/],
  ['for (;;) "x".repeat(500000).toUpperCase()', /took longer|out of memory/],
  ['for (;;) JSON.stringify("a".repeat(200000))', /took longer|out of memory/],
  ['for (;;) "a".repeat(1e5).split("")', /took longer|out of memory/],
  ['for (const one of Array(4e9));', /took longer/],
  ['[3, 1].sort(() => { for (;;); })', /took longer/],
  ['"aaaa".replace(/a/g, () => { for (;;); })', /took longer/],
  ['JSON.stringify({ toJSON () { for (;;); } })', /took longer/],
  ['function* g () { for (;;) yield 1 }; for (const one of g());', /took longer/],
  ['new Set(Array(4e9))', /took longer/],
  ['throw { toString () { for (;;); } }', /took longer/],
  ['weir.request.headers.set("x-a", { toString () { for (;;); } })', /took longer/],
  ['const d = new Date(); for (;;) d.toLocaleString()', /took longer/],
  // Patterns.
  ['/(a+)+b/.test("a".repeat(60))', /took longer/],
  ['/(?:a|aa)+$/.test("a".repeat(5000) + "b")', /took longer|out of memory|stack overflow/],
  ['new RegExp("(".repeat(500) + ")".repeat(500))', /SyntaxError/],
  ['new RegExp("(?:".repeat(30000) + ")".repeat(30000))', /1024/],
  ['new RegExp("[" + "a-zA-Z".repeat(100000) + "]", "i")', /1024/],
  ['RegExp("a".repeat(2000))', /1024/],
  ['new (/a/.constructor)("a".repeat(2000))', /1024/],
  ['"a".match("a".repeat(2000))', /1024/],
  ['/a/.compile("b")', /not a function/],
  // Memory.
  ['"x".repeat(1e9)', /out of memory|too long/],
  ['let s = "x"; for (;;) s += s', /too long|out of memory/],
  ['const all = []; for (;;) all.push({})', /out of memory|took longer|100000/],
  ['const all = {}; for (let i = 0; ; i++) all[i] = "x".repeat(100)', /out of memory|took longer/],
  ['new Uint8Array(1e9)', /Uint8Array/],
  ['new ArrayBuffer(1e8)', /ArrayBuffer/],
  ['const [...all] = Array(4e9)', /out of memory|took longer/],
  ['Math.max(...Array(4e9))', /out of memory|took longer/],
  // Depth.
  ['const f = () => f(); f()', /stack overflow/],
  ['JSON.parse("[".repeat(100000))', /stack overflow/],
  ['let o = {}; for (let i = 0; i < 100000; i++) o = { o }; JSON.stringify(o)', /stack overflow|took longer|out of memory/],
  // Loops of the engine itself.
  ['Array.prototype.indexOf.call({ length: 2 ** 50 }, 1)', /needs an array/],
  ['Array.prototype.forEach.call({ length: 2 ** 50 }, () => 1)', /needs an array/],
  ['Array(4e9).indexOf(1)', /100000/],
  ['Array(4e9).reverse()', /100000/],
  ['[Array(4e9)].flat()', /100000/],
  ['[].concat(Array(4e9))', /100000/],
  ['String(Array(4e9))', /100000/],
  ['JSON.stringify({}, Array(4e9))', /100000/],
  ['Array.from({ length: 2 ** 40 })', /100000/],
  ['const h = "a".repeat(400000); h.indexOf("a".repeat(200000) + "b")', /1024/],
  ['"a".repeat(600000).indexOf("a".repeat(1000) + "b")', /too long/],
  ['"a".repeat(600000).replaceAll("a".repeat(1000) + "b", "")', /too long/],
  [`${twoTexts} list.sort()`, /took longer/],
  [`${twoTexts} list.toSorted()`, /took longer/],
  [`${twoTexts} list.includes(a + "c")`, /took longer/],
  [`${twoTexts} list.indexOf(a + "c")`, /took longer/],
  [`${twoTexts} list.lastIndexOf(a + "c")`, /took longer/],
  ['Math.max(...Array(20000).fill("9".repeat(300000)))', /took longer/],
  ['String.fromCharCode(...Array(20000).fill("9".repeat(300000)))', /took longer/],
  ['const s = "9".repeat(600000) + "e-600000"; for (;;) +s', /took longer/],
  [`${manyFields} Object.assign({}, ...Array(50000).fill(o))`, /took longer/],
  [`${manyFields} JSON.stringify(Array(50000).fill(o))`, /took longer|out of memory/],
  [`${manyFields} JSON.stringify(Array(50000).fill(o), Object.keys(o))`, /took longer|out of memory/],
  ['"a".localeCompare("b")', /not a function/],
  ['"a".normalize()', /not a function/],
  // Ways out.
  ['eval("1")', /eval/],
  ['(() => 1).constructor("return 1")()', /not a function/],
  ['(function* () {}).constructor("yield 1")()', /not a function/],
  ['(async () => 1).constructor("return 1")()', /not a function/],
  ['Reflect.construct(Function, ["return 1"])', /Function/],
  ['process.exit(1)', /process/],
  ['require("node:fs")', /require/],
  ['import("node:fs")', /promise/],
  ['new Proxy({}, {})', /Proxy/],
  ['new WeakRef({})', /WeakRef/],
  ['new SharedArrayBuffer(8)', /SharedArrayBuffer/],
  ['std.exit(1)', /std/],
  ['(async () => { await 1 })()', /promise/],
  // What others would find.
  ['globalThis.kept = 1', /not extensible/],
  ['kept = 1', /kept/],
  ['Object.prototype.kept = 1', /not extensible/],
  ['Array.prototype.push = () => 1', /read-only/],
  ['({}).__proto__.kept = 1', /not extensible/],
  ['Object.setPrototypeOf(Array.prototype, { kept: 1 })', /not extensible/],
  ['Object.defineProperty(globalThis, "kept", { value: 1 })', /not extensible/],
  ['weir.kept = 1', /not extensible/],
  ['weir.constructor.prototype.close = () => 1', /read-only/],
  ['weir.table.kept = 1', /not extensible/],
  ['Math.kept = 1', /not extensible/],
  ['JSON.parse = () => ({})', /read-only/],
  ['delete weir.request', /delete/],
  ['arguments.callee.kept = 1', /./],
  // What goes out.
  ['weir.request.headers.set("x-a", "b\\r\\nc: d")', /not the value/],
  ['weir.request.headers.set("x a", "b")', /not the name/],
  ['weir.request.headers.set("x-a", "\\u{1F600}")', /not the value/],
  ['weir.request.headers.set("Content-Length", "5")', /may write/],
  ['weir.request.headers.add("transfer-encoding", "chunked")', /may write/],
  ['weir.request.headers.remove("connection")', /may write/],
  ['weir.request.headers.set("x-a", "b".repeat(9000))', /8192/],
  ['weir.respond(200, { headers: { "Content-Length": "9" } })', /may write/],
  ['weir.respond(200, { headers: { get a () { throw new Error("mine") } } })', /mine/],
  ['weir.respond(200, { body: "x".repeat(300000) })', /262144/],
  ['weir.respond(101)', /not a status/],
  ['weir.redirect("/\\n", 302)', /not the value/],
  ['weir.request.path = "no"', /not a path/],
  ['weir.request.path = "/a b"', /not a path/],
  ['weir.request.path = "/a?b"', /not a path/],
  ['weir.request.query = "a#b"', /not a query/],
  ['weir.count("a b")', /name of a counter/],
  ['weir.count("a", 1.5)', /not a count/],
  ['for (let i = 0; i < 2000; i++) weir.log("x")', /too many/],
  ['for (;;) weir.request.headers.add("x-a", "b")', /too many/],
  // Errors that are none.
  ['throw null', /threw null/],
  ['throw undefined', /threw undefined/],
  ['throw { get message () { throw 1 } }', /threw/],
  ['throw { toString () { throw 1 } }', /cannot be told/],
  ['throw Object.create(null)', /cannot be told/],
  ['const e = new Error("x"); Object.defineProperty(e, "stack", { get () { throw 1 } }); throw e', /cannot be told|x/],
  ['throw new Error("x".repeat(100000))', /x/]
]

t.test('every hostile script is cut and leaves nothing behind', async t => {
  const sandbox = await openSandbox()
  const honest = aProgram(
    sandbox,
    'if (typeof kept !== "undefined") weir.close(); weir.request.headers.set("x-a", String([1, [2]].flat().indexOf(2)))'
  )
  const fine = { is: 'done', orders: '[["request-set","x-a","1"]]' }
  t.match(honest.run(factsOf()), fine)
  for (const [source, said] of hostile) {
    const startedMs = cpuMs()
    const run = aProgram(sandbox, source, { timeLimitMs: 20 }).run(factsOf())
    t.ok(cpuMs() - startedMs < 5_000, `${source} is cut in time`)
    t.equal(run.is, 'failed', source)
    if (run.is === 'failed' && said !== undefined) t.match(run.message, said, source)
    await sandbox.ready()
    t.match(honest.run(factsOf()), fine, `after ${source}`)
  }
  t.ok(hostile.length >= 90, `${hostile.length} scripts`)
  t.ok(sandbox.memoryBytes < 192 * 1_048_576, `${sandbox.memoryBytes} bytes`)
})
