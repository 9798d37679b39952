import t from 'tap'
import { answersAt, type Carrier } from '#controller/fleet/answers.ts'

const carrier = (name: string, given: Partial<Carrier> = {}): Carrier => ({
  uuid: name,
  name,
  addresses: [],
  owns: false,
  reason: '',
  ...given
})
const one = carrier('one', { addresses: ['10.0.0.1', 'fd00::1', '127.0.0.1', '::1'] })
const two = carrier('two', { addresses: ['10.0.0.2', '127.0.0.1'], reason: 'it does not run it yet' })
const shown = (...given: Parameters<typeof answersAt>) =>
  answersAt(...given).map(({ address, engine_name, answers }) => `${address} ${engine_name} ${answers}`)

t.test('HOST: an address that an engine has, or all of its own of that family', async t => {
  t.same(shown('HOST', ['10.0.0.1'], [one]), ['10.0.0.1 one true'])
  t.same(shown('HOST', ['192.0.2.9', '2001:db8::9'], [one, two]), ['10.0.0.1 one true', '10.0.0.2 two false', 'fd00::1 one true'])
  t.same(shown('HOST', ['127.0.0.1', '10.0.0.1'], [one]), ['10.0.0.1 one true'])
  t.same(shown('HOST', ['127.0.0.1'], [one]), ['127.0.0.1 one true'], 'who is reached from its own host only')
  t.same(shown('HOST', ['192.0.2.9'], []), [])
})

t.test('L2: at the owner alone; BGP: the same address at each', async t => {
  t.same(shown('L2', ['192.0.2.9'], [one, { ...two, owns: true, reason: '' }]), ['192.0.2.9 two true'])
  t.same(shown('L2', ['192.0.2.9'], [one, two]), [])
  t.same(answersAt('BGP', ['192.0.2.9'], [one, two]), [
    { address: '192.0.2.9', engine_uuid: 'one', engine_name: 'one', answers: true, reason: '' },
    { address: '192.0.2.9', engine_uuid: 'two', engine_name: 'two', answers: false, reason: 'it does not run it yet' }
  ])
})
