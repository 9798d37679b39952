import t from 'tap'
import { findCases } from '#test/bench/case.ts'
import { features, type Feature } from '#test/bench/feature.ts'
import { documentsOf, snapshotOf, type WeirScene } from '#test/bench/weir.ts'
import { contextOf, defaultDocuments, document, pointersOf } from '#test/support/resources.ts'

const fronts = [1, 2].map(host => ({ address: `127.1.0.${host}`, port: 8_080 }))

const sceneOf = (is: Feature, at: number | null): WeirScene => ({
  scene: findCases(`feature-${is.name}`)[0]!.scene,
  fronts,
  upstreamPort: 9,
  certificatePem: '',
  keyPem: '',
  feature: { is, at }
})

t.test('each feature is what an operator may write', async t => {
  for (const is of features) {
    const documents = [...defaultDocuments, ...documentsOf(sceneOf(is, 0)).map(({ kind, body }) => document(kind, body))]
    for (const { kind, body, uuid } of documents) t.same(pointersOf(kind, body, contextOf(documents, uuid)), [], `${is.name}: ${uuid}`)
  }
})

t.test('a feature is on the service that has it, and changes nothing of the one beside', async t => {
  for (const is of features) {
    const partsAt = (at: number | null) => {
      const snapshot = snapshotOf(sceneOf(is, at))
      const services = new Map(snapshot.virtualServices.map(part => [part.name, part]))
      const pools = new Map(snapshot.pools.map(part => [part.name, part]))
      return [0, 1].map(i => ({ service: services.get(`service-${i}`)!, pool: pools.get(`servers-${i}`) }))
    }
    const [bare, other, own] = [partsAt(null), partsAt(1), partsAt(0)]
    t.ok(bare[0]!.service !== undefined && bare[0]!.pool !== undefined, is.name)
    if (is.isPoolShared === true) {
      t.same(own[1]!.service.target, own[0]!.service.target, is.name)
      t.notSame(bare[1]!.service.target, bare[0]!.service.target, is.name)
      continue
    }
    t.same(other[0], bare[0], `${is.name} beside`)
    t.notSame(own[0], bare[0], `${is.name} on`)
    t.notSame(other[1], bare[1], `${is.name} on the other`)
  }
})

t.test('findCases knows features by one name', async t => {
  t.equal(findCases('feature').length, features.length)
  t.same(
    findCases('http').map(({ name }) => name),
    ['http']
  )
  t.same(findCases('none'), [])
})
