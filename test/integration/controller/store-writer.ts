/** Commits without end and says each one that was acknowledged, one number a line; ended by a signal. */
import { writeSync } from 'node:fs'
import { openSqliteStore } from '#controller/store/sqlite/sqlite.ts'

const store = openSqliteStore({ path: process.argv[2]! })
const sessions = store.table<{ readonly revision: number }>('last')
for (;;) {
  const next = store.revision() + 1
  const name = `pool-${next}`
  const { revision } = await store.commit({
    author: 'writer',
    reason: '',
    atEpochMs: Date.now(),
    puts: [
      { kind: 'pool', uuid: name, tenant: 'admin', name, body: { name, text: 'x'.repeat(next % 3000) }, references: [] },
      {
        kind: 'poolgroup',
        uuid: 'poolgroup-1',
        tenant: 'admin',
        name: 'g',
        body: { newest: name },
        references: [{ pointer: '/newest', toKind: 'pool', toUuid: name }]
      }
    ],
    deletes: next > 50 ? [{ kind: 'pool', uuid: `pool-${next - 50}` }] : [],
    changes: [{ action: 'create', kind: 'pool', uuid: name, name, tenant: 'admin', diff: [] }]
  })
  sessions.set('row', { revision })
  writeSync(1, `${revision}\n`)
}
