import t from 'tap'
import { makeScriptJudge } from '#controller/change/script.ts'
import { admin, aChange, refusalOf } from '#test/support/change.ts'

t.test('a script judge says where a text is no script', async t => {
  const judge = makeScriptJudge()
  t.match(judge.problem('1'), { message: /try again/ }, 'before it is ready')
  await judge.ready()
  for (const source of [
    '',
    'return 1',
    '// only words',
    'weir.log(`${1}`) // "',
    'const f = () => { return 1 }\nf()',
    'if (a) { b } else { c }'
  ])
    t.equal(judge.problem(source), undefined, source)
  const wrong = [
    ['let a = 1\nlet b = ;', 2, /unexpected token/],
    ['let a\nlet a', 3, /redefinition/],
    ['await 1', 1, /./],
    ['"open', 1, /unexpected end/],
    ['with (a) {}', 1, /./],
    ['2n', 1, /BigInt/],
    ['const a = [\n0xffn]', 2, /BigInt/],
    ['[\n'.repeat(300), 201, /nest deeper/],
    ['x'.repeat(70_000), 0, /longer/],
    // Texts that would end their function and run outside of it.
    ['}) ; globalThis.x = 1; (function () {', 1, /./],
    ['} (globalThis.x = 1), function () {', 1, /./],
    ['}, function () {', 1, /./],
    ['} [globalThis.x = 1] = function () {', 1, /./],
    ['} } ({ m () { ', 2, /./],
    ['} }); globalThis.x = 1; ({ m () {', 1, /./],
    ['} globalThis.x = 1; function m () {', 1, /./]
  ] as const
  for (const [source, line, message] of wrong) {
    const problem = judge.problem(source)
    t.match(problem?.message, message, source.slice(0, 80))
    t.equal(problem?.line, line, source.slice(0, 80))
  }
})

t.test('a text that exhausts the parser is refused, and the next is judged', async t => {
  const judge = makeScriptJudge()
  for (const source of ['!'.repeat(60_000), 'x=>'.repeat(20_000), '-+'.repeat(30_000), 'if(1)'.repeat(12_000), 'new '.repeat(15_000)]) {
    await judge.ready()
    t.ok(judge.problem(source), source.slice(0, 10))
    await judge.ready()
    t.equal(judge.problem('weir.log(1)'), undefined)
    t.match(judge.problem('let'), { line: 2 })
  }
})

t.test('a script set is refused with the line and column of what is wrong in it', async t => {
  const { change } = await aChange(t)
  const write = (script: string, evt = 'VS_DATASCRIPT_EVT_HTTP_REQ') =>
    change.apply({
      actor: admin,
      tenant: 'admin',
      writes: [{ op: 'create', kind: 'vsdatascriptset', body: { name: 'scripts', datascript: [{ evt, script }] } }]
    })
  const refused = await refusalOf(write('weir.log(1)\nlet = = 2'))
  t.match(refused.violations, [{ pointer: '/datascript/0/script', message: /^line 2, column \d+: / }])
  const event = await refusalOf(write('weir.log(1)', 'VS_DATASCRIPT_EVT_DNS_REQ'))
  t.ok(event.violations.some(({ pointer, message }) => pointer === '/datascript/0/evt' && message.includes('not supported')))
  t.match(await write('weir.log(1)'), { resources: [{ kind: 'vsdatascriptset' }] })
})
