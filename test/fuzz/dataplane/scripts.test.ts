/** Scripts made of anything: none gets out, none hangs, and the next one runs as if it had not been. */
import fc from 'fast-check'
import t from 'tap'
import { loadQuickJs } from '#model/script/quickjs.ts'
import { problemIn } from '#model/script/source.ts'
import { readQuickJs } from '#engine/quickjs-file.ts'
import { aProgram, factsOf, openSandbox } from '#test/support/scripts.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

const pieces = [
  'weir',
  '.request',
  '.headers',
  '.set(',
  '.get(',
  '"x-a"',
  '"b"',
  ')',
  '(',
  '{',
  '}',
  '[',
  ']',
  ',',
  ';',
  '\n',
  '=',
  '=>',
  '...',
  '.',
  'globalThis',
  'this',
  'arguments',
  'Object',
  '.prototype',
  '.constructor',
  '.__proto__',
  'Array',
  '(4e9)',
  'new ',
  'throw ',
  'try ',
  'catch ',
  'function ',
  'f',
  'async ',
  'await ',
  'yield ',
  'class ',
  'extends ',
  'get ',
  'static ',
  'let ',
  'const ',
  'x',
  'for(;;)',
  'while(1)',
  'return ',
  '`',
  '${',
  '/',
  '/a+/',
  '"',
  "'",
  '//',
  '/*',
  '*/',
  '1',
  '1e9',
  '-',
  '+',
  '!',
  '?',
  ':',
  '&&',
  'null',
  'Symbol.iterator',
  '.respond(',
  '.log(',
  '.usePool('
]
const aScript = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 24 }).map(list => list.join(''))

t.test('a text is a script or has a problem, and what is one runs within its bounds', async t => {
  const quickJs = await loadQuickJs(readQuickJs())
  const sandbox = await openSandbox()
  const honest = aProgram(sandbox, 'if (typeof kept === "undefined" && Object.keys(Object.prototype).length === 0) weir.log("fine")')
  let ran = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof(aScript, fc.string({ maxLength: 60 })), async source => {
      const problem = problemIn(quickJs, source)
      if (problem !== undefined) return problem.message !== '' && problem.line >= 0
      ran++
      const run = aProgram(sandbox, source, { timeLimitMs: 5 }).run(factsOf())
      await sandbox.ready()
      if (run.is === 'done') JSON.parse(run.orders || '[]')
      const after = honest.run(factsOf())
      return after.is === 'done' && after.orders === '[["log","fine"]]'
    }),
    { seed, numRuns: 600 }
  )
  t.ok(ran > 0, `${ran} ran`)
})
