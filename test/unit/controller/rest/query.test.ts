import t from 'tap'
import { kinds } from '#model/resource/catalogue.ts'
import { Problem } from '#controller/rest/problem.ts'
import { compareValues, flagOf, integerOf, mentions, one, parseList, parseView, satisfies } from '#controller/rest/query.ts'

const is400 = { name: 'Problem', status: 400 }

t.test('parseList reads nothing as the first page by name', async t => {
  t.match(parseList({}, kinds.pool), {
    filters: [],
    searches: [],
    sort: [{ field: 'name', isDescending: false }],
    page: 1,
    pageSize: 25,
    view: { isNameIncluded: false, isDefaultSkipped: false, isRuntimeJoined: false }
  })
})

t.test('parseList reads every query of the API', async t => {
  const query = parseList(
    {
      'name.icontains': 'Web',
      'uuid.in': 'pool-1, pool-2',
      isearch: '(description,x,y)',
      refers_to: 'healthmonitor:healthmonitor-1',
      referred_by: 'virtualservice:v',
      'cloud_ref.name': 'Default-Cloud',
      enabled: 'True',
      fields: 'name,enabled',
      include_name: '',
      skip_default: 'true',
      join_subresources: 'runtime',
      sort: '-name,enabled',
      page: '3',
      page_size: '200',
      include_refs: 'x'
    },
    kinds.pool
  )
  t.same(query.filters, [
    { field: 'name', comparison: 'icontains', values: ['Web'] },
    { field: 'uuid', comparison: 'in', values: ['pool-1', 'pool-2'] },
    { field: 'cloud_ref', of: 'name', comparison: 'is', values: ['Default-Cloud'] },
    { field: 'enabled', comparison: 'is', values: ['True'] }
  ])
  t.same(query.searches, [{ field: 'description', text: 'x,y', isCaseIgnored: true }])
  t.same(query.refersTo, { kind: 'healthmonitor', uuid: 'healthmonitor-1' })
  t.same(query.sort, [
    { field: 'name', isDescending: true },
    { field: 'enabled', isDescending: false }
  ])
  t.same([query.page, query.pageSize], [3, 200])
  t.match(query.view, { isNameIncluded: true, isDefaultSkipped: true, isRuntimeJoined: true })
})

t.test('parseView refuses fields that the kind does not have', async t => {
  t.throws(() => parseView({ fields: 'name,colour' }, kinds.pool), is400)
  t.throws(() => parseView({ exclude: 'toString' }, kinds.pool), is400)
  t.throws(() => parseView({ fields: Array.from({ length: 600 }, () => 'name').join(',') }, kinds.pool), is400)
})

t.test('one, flagOf and integerOf take what they should and refuse the rest', async t => {
  t.equal(one({}, 'x'), undefined)
  t.throws(() => one({ x: ['1', '2'] }, 'x'), is400)
  for (const yes of ['', 'true', 'TRUE', '1']) t.equal(flagOf({ x: yes }, 'x'), true, yes)
  for (const no of [undefined, 'false', '0', 'False']) t.equal(flagOf({ x: no }, 'x'), false, no ?? 'absent')
  t.throws(() => flagOf({ x: 'yes' }, 'x'), is400)
  const bounds = { min: 1, max: 9, otherwise: 5 }
  t.equal(integerOf({}, 'x', bounds), 5)
  t.equal(integerOf({ x: '9' }, 'x', bounds), 9)
  for (const wrong of ['0', '10', '-1', '1.5', '1e0', 'x', '', ' 1', '9'.repeat(40)])
    t.throws(() => integerOf({ x: wrong }, 'x', bounds), is400, wrong)
})

t.test('satisfies compares as the query says', async t => {
  t.equal(satisfies('web', 'is', ['web']), true)
  t.equal(satisfies('web', 'is', ['Web']), false)
  t.equal(satisfies(80, 'is', ['80']), true)
  t.equal(satisfies(true, 'is', ['True']), true)
  t.equal(satisfies('True', 'is', ['true']), false)
  t.equal(satisfies(['a', 'b'], 'in', ['b', 'c']), true)
  t.equal(satisfies('shop-web', 'contains', ['web']), true)
  t.equal(satisfies('shop-web', 'icontains', ['WEB']), true)
  for (const nothing of [undefined, null, {}, []]) t.equal(satisfies(nothing, 'contains', ['']), false)
})

t.test('mentions looks into every depth', async t => {
  const body = { name: 'x', servers: [{ ip: { addr: '10.0.0.7' }, port: 8080 }] }
  t.equal(mentions(body, '0.0.7', false), true)
  t.equal(mentions(body, '8080', false), true)
  t.equal(mentions(body, 'addr', false), false, 'names are not values')
  t.equal(mentions({ a: 'Web' }, 'web', true), true)
})

t.test('compareValues orders numbers by size and puts absent first', async t => {
  t.same([10, 9, undefined, 100].toSorted((a, b) => compareValues(a, b)).slice(0, 3), [9, 10, 100])
  t.ok(compareValues(undefined, 'a') < 0)
  t.equal(compareValues('a', 'a'), 0)
  t.ok(compareValues('b', 'a') > 0)
  t.ok(new Problem(400, 'X', 'x') instanceof Error)
})
