import t from 'tap'
import { aRest, type RestHouse } from '#test/support/rest.ts'

const passphrase = 'correct horse battery'
const asked = (house: RestHouse, body: object) => house.admin.call('POST', '/api/backup', body)

t.test('a backup is streamed to a superuser', async t => {
  const given: string[] = []
  const house = await aRest(t, {
    backups: {
      make: phrase => {
        given.push(phrase)
        return (async function* () {
          yield Buffer.from('WEIR')
          yield Buffer.from('BACKUP')
        })()
      }
    }
  })
  const answer = await asked(house, { passphrase })
  t.equal(answer.status, 200, answer.text)
  t.equal(answer.text, 'WEIRBACKUP')
  t.match(answer.headers, {
    'content-type': 'application/octet-stream',
    'content-disposition': /^attachment; filename="weir-\d{8}T\d{6}Z\.backup"$/
  })
  t.same(given, [passphrase])
})

t.test('what cannot be is refused with its field', async t => {
  const house = await aRest(t)
  t.match(await asked(house, { passphrase: 'short', other: 1 }), {
    status: 422,
    violations: [{ pointer: '/other' }, { pointer: '/passphrase' }]
  })
  t.match(await asked(house, {}), { status: 422, violations: [{ pointer: '/passphrase' }] })
  t.match(await asked(house, { passphrase }), { status: 409 }, 'one at a time')
  t.match(await house.anonymous.call('POST', '/api/backup', { passphrase }), { status: 401 })
})

t.test('a backup that cannot begin is told, not a file that ends', async t => {
  const house = await aRest(t, {
    backups: {
      make: () =>
        (async function* (): AsyncGenerator<Buffer, void, void> {
          await Promise.reject(Object.assign(new Error('no space left'), { statusCode: 503 }))
          yield Buffer.alloc(0)
        })()
    }
  })
  t.equal((await asked(house, { passphrase })).status >= 500, true)
})

t.test('only an engine that is held can be taken over', async t => {
  const house = await aRest(t)
  t.match(await house.admin.call('POST', '/api/serviceengine/serviceengine-none/takeover'), { status: 404 })
})
