/** The import table of docs/architecture.md, kept true: every file has a row, imports follow it, there are no cycles. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { parseSync } from 'oxc-parser'
import t from 'tap'

const root = resolve(import.meta.dirname, '../..')

const model = ['model/base', 'model/script', 'model/resource', 'model/snapshot', 'model/message']
const plane = 'service-engine/dataplane'

/** folder -> folders its files may import, beside their own. The longest folder that a file lies in is its row. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'model/base': [],
  'model/script': ['model/base'],
  'model/resource': ['model/base'],
  'model/snapshot': ['model/base', 'model/resource'],
  'model/message': ['model/base', 'model/resource', 'model/snapshot'],

  'controller/store': model,
  'controller/access': [...model, 'controller/store'],
  'controller/pki': [...model, 'controller/store'],
  'controller/change': [...model, 'controller/store', 'controller/access', 'controller/pki'],
  'controller/compile': model,
  'controller/placement': model,
  'controller/telemetry': [...model, 'controller/store'],
  'controller/timeline': [...model, 'controller/store'],
  'controller/webhook': [...model, 'controller/store'],
  'controller/release': [
    ...model,
    'controller/store',
    'controller/change',
    'controller/telemetry',
    'controller/timeline/port.ts',
    'controller/webhook'
  ],
  'controller/upgrade': [
    ...model,
    'controller/store',
    'controller/telemetry',
    'controller/timeline/port.ts',
    'controller/webhook',
    'controller/fleet/port.ts'
  ],
  'controller/backup': ['model/base'],
  'controller/fleet': [
    ...model,
    'controller/store',
    'controller/access',
    'controller/pki',
    'controller/change',
    'controller/compile',
    'controller/placement',
    'controller/telemetry',
    'controller/timeline/port.ts'
  ],
  'controller/scale': [
    ...model,
    'controller/store',
    'controller/access',
    'controller/change',
    'controller/placement',
    'controller/telemetry',
    'controller/webhook',
    'controller/fleet/port.ts'
  ],
  'controller/driver': [
    ...model,
    'controller/store',
    'controller/access',
    'controller/pki',
    'controller/change',
    'controller/webhook',
    'controller/fleet/port.ts',
    'controller/scale/port.ts'
  ],
  'controller/rest': [
    ...model,
    'controller/store',
    'controller/access',
    'controller/pki',
    'controller/change',
    'controller/compile',
    'controller/placement',
    'controller/telemetry',
    'controller/backup/backup.ts',
    'controller/backup/envelope.ts',
    'controller/release/port.ts',
    'controller/upgrade/port.ts',
    'controller/scale/port.ts',
    'controller/driver/port.ts',
    'controller/fleet/port.ts',
    'controller/timeline/port.ts'
  ],
  controller: [...model, 'controller'],

  'service-engine/base': model,
  [`${plane}/exchange`]: [...model, 'service-engine/base'],
  [`${plane}/listen`]: [...model, 'service-engine/base', `${plane}/exchange`],
  [`${plane}/route`]: [...model, 'service-engine/base', `${plane}/exchange`],
  [`${plane}/filter`]: [...model, 'service-engine/base', `${plane}/exchange`],
  [`${plane}/balance`]: [...model, 'service-engine/base', `${plane}/exchange`],
  [`${plane}/upstream`]: [...model, 'service-engine/base', 'service-engine/meter', `${plane}/exchange`, `${plane}/balance`],
  [`${plane}/http`]: [...model, 'service-engine/base', 'service-engine/meter', plane],
  [`${plane}/l4`]: [...model, 'service-engine/base', 'service-engine/meter', plane],
  'service-engine/monitor': [...model, 'service-engine/base'],
  'service-engine/meter': [...model, 'service-engine/base'],
  'service-engine/generation': [...model, 'service-engine/base', 'service-engine/meter', plane],
  'service-engine/vip': [...model, 'service-engine/base'],
  'service-engine/agent': [...model, 'service-engine/base'],
  'service-engine': [...model, 'service-engine'],

  ui: ['model', 'ui'],
  cli: model,
  'cli/run': [],
  'agent-installers': ['agent-installers'],
  test: ['model', 'controller', 'service-engine', 'ui', 'cli', 'agent-installers', 'test']
}

/** `cli/run` and the engine's files name workers and processes by path, never by import. */
const sourceFile = /\.tsx?$/

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['node_modules', 'dist', '.cache'].includes(entry.name) ? [] : filesBelow(path)
    return sourceFile.test(entry.name) ? [path] : []
  })
}

const aliases: readonly (readonly [prefix: string, folder: string])[] = [
  ['#model/', 'model/'],
  ['#controller/', 'controller/'],
  ['#engine/', 'service-engine/'],
  ['#cli/', 'cli/'],
  ['#test/', 'test/']
]

/** The project's own files that a file imports, types included, relative to the root. */
function importsOf(file: string): string[] {
  const { module } = parseSync(file, readFileSync(join(root, file), 'utf8'))
  const named = [
    ...module.staticImports.map(item => item.moduleRequest.value),
    ...module.staticExports.flatMap(item => item.entries.flatMap(entry => (entry.moduleRequest ? [entry.moduleRequest.value] : [])))
  ]
  return named.flatMap(specifier => {
    const alias = aliases.find(([prefix]) => specifier.startsWith(prefix))
    if (alias) return [alias[1] + specifier.slice(alias[0].length)]
    return specifier.startsWith('.') ? [relative(root, resolve(root, dirname(file), specifier))] : []
  })
}

const lies = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)
const rows = Object.keys(allowed).toSorted((a, b) => b.length - a.length)
const rowOf = (file: string): string | undefined => rows.find(row => lies(file, row))

const folders = ['model', 'controller', 'service-engine', 'ui', 'cli', 'agent-installers', 'test']
const graph = new Map(folders.flatMap(filesBelow).map(file => [file, importsOf(file)] as const))

t.test('every source file lies in a folder that the table knows', async t => {
  t.ok(graph.size > 10, 'files were found')
  t.same(
    [...graph.keys()].filter(file => rowOf(file) === undefined),
    []
  )
})

t.test('imports follow the table', async t => {
  const wrong: string[] = []
  for (const [file, imports] of graph) {
    const row = rowOf(file)
    if (row === undefined) continue
    for (const target of imports) {
      const isOwn = rowOf(target) === row
      if (!isOwn && !allowed[row]!.some(folder => lies(target, folder))) wrong.push(`${file} imports ${target}`)
    }
  }
  t.same(wrong, [])
})

t.test('nobody imports a main and only main names the stores', async t => {
  const wrong: string[] = []
  for (const [file, imports] of graph) {
    for (const target of imports) {
      if (/(^|\/)(main|worker)\.ts$/.test(target)) wrong.push(`${file} imports ${target}`)
      const isStore = lies(target, 'controller/store/sqlite') || lies(target, 'controller/store/memory')
      if (isStore && !file.startsWith('test/') && file !== 'controller/main.ts' && !lies(file, 'controller/store'))
        wrong.push(`${file} imports ${target}`)
    }
  }
  t.same(wrong, [])
})

t.test('there is no import cycle, not even through types', async t => {
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) cycles.push([...path.slice(at), file].join(' -> '))
    if (at >= 0 || done.has(file)) return
    for (const target of graph.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  t.same(cycles, [])
})

t.test('model is pure: it imports no node module', async t => {
  const wrong = [...graph.keys()].filter(file => file.startsWith('model/') && /from 'node:/.test(readFileSync(join(root, file), 'utf8')))
  t.same(wrong, [])
})
