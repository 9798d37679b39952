import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { installScript, quote, removeScript } from '#controller/driver/ssh/script.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

t.test('quote makes one word of anything that a shell takes', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), text => {
      if (text.includes('\0')) return true
      const word = text.isWellFormed() ? text : text.toWellFormed()
      return execFileSync('sh', ['-c', `printf %s ${quote(word)}`]).toString() === word
    }),
    { seed, numRuns: 50 }
  )
  t.throws(() => quote('a\0b'), RangeError)
})

t.test('scripts are whole for any name and token, and say the token once', async t => {
  const order = { controllerId: 'c1', name: 'edge-1', controllerUrl: 'https://c:9443', pin: "sha256//a'b" }
  for (const script of [installScript({ ...order, token: "weir1.'; reboot #" }), installScript(order), removeScript(order)])
    t.doesNotThrow(() => execFileSync('sh', ['-n'], { input: script }), script)
  t.equal(installScript({ ...order, token: 'weir1.a.b' }).split('weir1.a.b').length, 2)
})
