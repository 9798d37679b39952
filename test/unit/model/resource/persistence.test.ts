/** What a persistence profile must have before a pool can use it. */
import t from 'tap'
import { contextOf, defaultDocuments, document, emptyContext, pointersOf } from '#test/support/resources.ts'

t.test('a profile of an application cookie names it', async t => {
  const body = { name: 'p', persistence_type: 'PERSISTENCE_TYPE_APP_COOKIE' }
  t.same(pointersOf('applicationpersistenceprofile', body, emptyContext), ['/app_cookie_persistence_profile'])
  t.same(
    pointersOf('applicationpersistenceprofile', { ...body, app_cookie_persistence_profile: { prst_hdr_name: 'SID' } }, emptyContext),
    []
  )
})

t.test('a pool takes a profile that it can act on', async t => {
  const named = document('applicationpersistenceprofile', {
    name: 'named',
    persistence_type: 'PERSISTENCE_TYPE_CUSTOM_HTTP_HEADER',
    hdr_persistence_profile: { prst_hdr_name: 'X-User' }
  })
  const context = contextOf([...defaultDocuments, named])
  const of = (profile: string) =>
    pointersOf('pool', { name: 'web', application_persistence_profile_ref: `applicationpersistenceprofile-${profile}` }, context)
  for (const profile of ['System-Persistence-Client-IP', 'System-Persistence-Http-Cookie', 'System-Persistence-App-Cookie', 'named'])
    t.same(of(profile), [], profile)
  for (const profile of ['System-Persistence-TLS', 'System-Persistence-Custom-Http-Header'])
    t.same(of(profile), ['/application_persistence_profile_ref'], profile)
})
