/** What a persistence profile must have before a pool can use it. */
import t from 'tap'
import type { JsonObject } from '#model/resource/kind.ts'
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
  for (const profile of [
    'System-Persistence-Client-IP',
    'System-Persistence-Http-Cookie',
    'System-Persistence-App-Cookie',
    'System-Persistence-TLS',
    'named'
  ])
    t.same(of(profile), [], profile)
  for (const profile of ['System-Persistence-Custom-Http-Header']) t.same(of(profile), ['/application_persistence_profile_ref'], profile)
})

t.test('a pool that keeps clients by their TLS sessions needs a service port with TLS', async t => {
  const pool = document('pool', {
    name: 'web',
    application_persistence_profile_ref: 'applicationpersistenceprofile-System-Persistence-TLS'
  })
  const vip = document('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.1', type: 'V4' } }] })
  const context = contextOf([...defaultDocuments, pool, vip])
  const at = (services: JsonObject[]) =>
    pointersOf('virtualservice', { name: 'shop', vsvip_ref: 'vsvip-vip', services, pool_ref: 'pool-web' }, context)
  t.same(at([{ port: 80 }]), ['/pool_ref'])
  t.notOk(at([{ port: 443, enable_ssl: true }]).includes('/pool_ref'))
})
