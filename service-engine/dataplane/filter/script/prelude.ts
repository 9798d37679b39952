/**
 * What a script finds around it, in the language of scripts: it takes away what could keep something from one exchange to the
 * next or hold up a worker, freezes what is left, and gives the function that runs a script over one exchange. All that is
 * read comes in as one text and all that was decided goes out as one, so that a run costs one call each way.
 */

/** As an expression: a function of `ask` (host) and the script, which returns the function to run. */
export const prelude = `(function (ask, script) {
'use strict'
const { parse, stringify } = JSON
const { freeze, getOwnPropertyNames, getOwnPropertySymbols, getOwnPropertyDescriptor, getPrototypeOf, defineProperty } = Object
const { apply } = Reflect
const isArray = Array.isArray
const isInteger = Number.isInteger
const MAX_ITEMS = 100000
const MAX_NEEDLE = 1024
const MAX_COMPARED = 10000000

// Not there: what makes code, keeps things, runs later, or works without end and cannot be interrupted.
for (const name of ['eval', 'Function', 'Proxy', 'Promise', 'WeakRef', 'FinalizationRegistry', 'WeakMap', 'WeakSet', 'SharedArrayBuffer',
  'Atomics', 'BigInt', 'BigInt64Array', 'BigUint64Array', 'Iterator', 'escape', 'unescape',
  // Made of a list of long texts they turn each into a number.
  'ArrayBuffer', 'DataView', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float16Array',
  'Float32Array', 'Float64Array']) delete globalThis[name]
delete String.raw
delete String.prototype.localeCompare
delete String.prototype.normalize
delete Math.sumPrecise
delete Array.fromAsync
delete Error.prepareStackTrace
delete Error.captureStackTrace
const iterator = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()))
for (const name of getOwnPropertyNames(iterator)) delete iterator[name]
for (const name of ['union', 'intersection', 'difference', 'symmetricDifference', 'isSubsetOf', 'isSupersetOf', 'isDisjointFrom'])
  delete Set.prototype[name]
for (const sample of [function () {}, function* () {}, async function () {}, async function* () {}]) {
  let at = sample
  while (at !== null && at !== Object.prototype) {
    const maker = getOwnPropertyDescriptor(at, 'constructor')
    if (maker !== undefined && maker.configurable) delete at.constructor
    at = getPrototypeOf(at)
  }
}

// Loops of the engine itself over a length that somebody made up.
const mustBeSmall = list => {
  if (!isArray(list)) throw new TypeError('needs an array')
  if (list.length > MAX_ITEMS) throw new RangeError('an array of more than ' + MAX_ITEMS + ' items')
}
const replace = (of, name, make) => {
  const before = of[name]
  if (typeof before !== 'function') return
  defineProperty(of, name, { value: make(before), writable: true, enumerable: false, configurable: true })
}
for (const name of getOwnPropertyNames(Array.prototype)) {
  if (name === 'constructor' || name === 'length' || name === 'concat' || name === 'flat' || name === 'flatMap') continue
  replace(Array.prototype, name, before => ({ method (...given) {
    mustBeSmall(this)
    return apply(before, this, given)
  } }).method)
}
// What compares long texts again and again does so in turns of the language, between which there is a look at the clock.
const byText = (a, b) => {
  const [first, second] = [String(a), String(b)]
  return first < second ? -1 : first > second ? 1 : 0
}
for (const name of ['sort', 'toSorted'])
  replace(Array.prototype, name, before => ({ method (compare) { return apply(before, this, [compare === undefined ? byText : compare]) } }).method)
const startOf = (given, length, otherwise) => {
  if (given.length === 0) return otherwise
  const at = Math.trunc(Number(given[0])) || 0
  return at < 0 ? length + at : at
}
replace(Array.prototype, 'indexOf', () => ({ method (wanted, ...given) {
  mustBeSmall(this)
  for (let i = Math.max(0, startOf(given, this.length, 0)); i < this.length; i++) if (this[i] === wanted && i in this) return i
  return -1
} }).method)
replace(Array.prototype, 'lastIndexOf', () => ({ method (wanted, ...given) {
  mustBeSmall(this)
  for (let i = Math.min(this.length - 1, startOf(given, this.length, this.length - 1)); i >= 0; i--) if (this[i] === wanted && i in this) return i
  return -1
} }).method)
replace(Array.prototype, 'includes', () => ({ method (wanted, ...given) {
  mustBeSmall(this)
  for (let i = Math.max(0, startOf(given, this.length, 0)); i < this.length; i++)
    if (this[i] === wanted || (wanted !== wanted && this[i] !== this[i])) return true
  return false
} }).method)
for (const [of, name] of [[Math, 'max'], [Math, 'min'], [Math, 'hypot'], [String, 'fromCharCode'], [String, 'fromCodePoint']]) {
  replace(of, name, before => ({ method (...given) {
    for (let i = 0; i < given.length; i++) given[i] = Number(given[i])
    return apply(before, of, given)
  } }).method)
}
replace(Object, 'assign', before => ({ method (target, ...sources) {
  let made = before(target)
  for (let i = 0; i < sources.length; i++) made = before(made, sources[i])
  return made
} }).method)
const flatten = (list, depth, into) => {
  mustBeSmall(list)
  for (let i = 0; i < list.length; i++) {
    if (isArray(list[i]) && depth > 0) flatten(list[i], depth - 1, into)
    else if (i in list) into[into.length] = list[i]
  }
  return into
}
replace(Array.prototype, 'concat', () => ({ method (...given) { return flatten([this, ...given], 1, []) } }).method)
replace(Array.prototype, 'flat', () => ({ method (depth = 1) { return flatten(this, Math.min(Number(depth), 64), []) } }).method)
replace(Array.prototype, 'flatMap', () => ({ method (change) {
  mustBeSmall(this)
  const made = []
  for (let i = 0; i < this.length; i++) made[i] = change(this[i], i, this)
  return flatten(made, 1, [])
} }).method)
replace(Array, 'from', before => ({ method (source, ...given) {
  if (source !== null && typeof source === 'object' && source[Symbol.iterator] === undefined && !(source.length <= MAX_ITEMS))
    throw new RangeError('a list of more than ' + MAX_ITEMS + ' items')
  return apply(before, this, [source, ...given])
} }).method)
replace(JSON, 'stringify', before => ({ method (value, replacer, space) {
  if (isArray(replacer)) {
    mustBeSmall(replacer)
    const names = new Set()
    for (let i = 0; i < replacer.length; i++) names.add(String(replacer[i]))
    replacer = function (name, value) { return name === '' || isArray(this) || names.has(name) ? value : undefined }
  }
  return before(value, typeof replacer === 'function' ? replacer : (_name, value) => value, space)
} }).method)
for (const name of ['indexOf', 'lastIndexOf', 'includes', 'split', 'replace', 'replaceAll', 'startsWith', 'endsWith', 'match', 'matchAll', 'search']) {
  replace(String.prototype, name, before => ({ method (needle, ...given) {
    if (typeof needle === 'object' && needle !== null) {
      if (!(needle instanceof RegExp)) needle = String(needle)
    }
    if (typeof needle === 'string' && needle.length > MAX_NEEDLE)
      throw new RangeError('a text of more than ' + MAX_NEEDLE + ' characters to look for')
    // Searched for from each place of the text on, without a look at the clock.
    if (typeof needle === 'string' && needle.length * this.length > MAX_COMPARED) throw new RangeError('too long a text to look for in too long a text')
    return apply(before, this, [needle, ...given])
  } }).method)
}

// A pattern is compiled without a look at the clock, in the square of its length.
const Pattern = RegExp
const bounded = function RegExp (pattern, flags) {
  const source = pattern instanceof Pattern ? pattern.source : pattern === undefined ? '' : String(pattern)
  if (source.length > MAX_NEEDLE) throw new RangeError('a pattern of more than ' + MAX_NEEDLE + ' characters')
  return new Pattern(source, flags === undefined && pattern instanceof Pattern ? pattern.flags : flags)
}
bounded.prototype = Pattern.prototype
Pattern.prototype.constructor = bounded
delete Pattern.prototype.compile
globalThis.RegExp = bounded

// --- what a script is given ---

const text = (value, what, max) => {
  const made = String(value)
  if (made.length > max) throw new RangeError(what + ' of more than ' + max + ' characters')
  return made
}
const fieldName = value => {
  const name = text(value, 'a header name', 256).toLowerCase()
  if (!/^[!#$%&'*+.^_\`|~0-9a-z-]+$/.test(name)) throw new TypeError('not the name of a header: ' + stringify(name))
  return name
}
// What frames a message or ends at this hop belongs to the codec.
const notOurs = new Set(['connection', 'content-length', 'expect', 'http2-settings', 'keep-alive', 'proxy-authenticate', 'proxy-authorization',
  'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'])
const writableName = value => {
  const name = fieldName(value)
  if (notOurs.has(name) || name[0] === ':') throw new TypeError('not a header that a script may write: ' + name)
  return name
}
const fieldValue = value => {
  const made = text(value, 'a header value', 8192)
  if (!/^[\\t\\x20-\\x7e\\x80-\\xff]*$/.test(made)) throw new TypeError('not the value of a header: ' + stringify(made).slice(0, 80))
  return made
}
const fieldsOf = given => {
  const fields = []
  if (given === undefined) return fields
  for (const name of Object.keys(given)) {
    const value = given[name]
    for (const one of isArray(value) ? value : [value]) fields[fields.length] = [writableName(name), fieldValue(one)]
  }
  return fields
}
const bodyOf = value => value === undefined ? '' : text(value, 'a body', 262144)
const statusOf = (value, least) => {
  const status = Number(value)
  if (!isInteger(status) || status < least || status > 599) throw new RangeError('not a status: ' + String(value))
  return status
}

const MAX_ORDERS = 1000
class Orders {
  #list = []
  #size = 0
  add (order, size) {
    this.#size += size
    if (this.#list.length >= MAX_ORDERS || this.#size > 524288) throw new RangeError('too many changes in one run')
    this.#list[this.#list.length] = order
  }
  out () { return this.#list.length === 0 ? '' : stringify(this.#list) }
}

class Headers {
  #fields
  #orders
  #of
  constructor (fields, orders, of) { this.#fields = fields; this.#orders = orders; this.#of = of }
  get (name) {
    const wanted = String(name).toLowerCase()
    for (let i = 0; i < this.#fields.length; i += 2) if (this.#fields[i] === wanted) return this.#fields[i + 1]
    return undefined
  }
  all (name) {
    const wanted = String(name).toLowerCase()
    const found = []
    for (let i = 0; i < this.#fields.length; i += 2) if (this.#fields[i] === wanted) found[found.length] = this.#fields[i + 1]
    return found
  }
  has (name) { return this.get(name) !== undefined }
  names () {
    const found = new Set()
    for (let i = 0; i < this.#fields.length; i += 2) found.add(this.#fields[i])
    return [...found]
  }
  #without (name) {
    const kept = []
    for (let i = 0; i < this.#fields.length; i += 2) if (this.#fields[i] !== name) kept[kept.length] = this.#fields[i], kept[kept.length] = this.#fields[i + 1]
    this.#fields = kept
  }
  set (name, value) {
    const [field, content] = [writableName(name), fieldValue(value)]
    this.#orders.add([this.#of + '-set', field, content], field.length + content.length)
    this.#without(field)
    this.#fields[this.#fields.length] = field
    this.#fields[this.#fields.length] = content
  }
  add (name, value) {
    const [field, content] = [writableName(name), fieldValue(value)]
    this.#orders.add([this.#of + '-add', field, content], field.length + content.length)
    this.#fields[this.#fields.length] = field
    this.#fields[this.#fields.length] = content
  }
  remove (name) {
    const field = writableName(name)
    this.#orders.add([this.#of + '-remove', field], field.length)
    this.#without(field)
  }
}

class Body {
  #orders
  #of
  #text
  constructor (length, orders, of) { this.length = length; this.#orders = orders; this.#of = of; freeze(this) }
  text () { return this.#text === undefined ? ask('body', 'text') : this.#text }
  bytes () {
    if (this.#text !== undefined) throw new TypeError('the body was replaced: its bytes are those of the text')
    return ask('body', 'bytes')
  }
  json () { return parse(this.text()) }
  replace (value) {
    const made = bodyOf(value)
    this.#orders.add([this.#of + '-body', made], made.length)
    this.#text = made
  }
}

class Request {
  #path
  #query
  #orders
  constructor (facts, orders) {
    this.method = facts.method
    this.host = facts.host
    this.version = facts.version
    this.scheme = facts.scheme
    this.headers = new Headers(facts.headers, orders, 'request')
    this.body = facts.bodyLength === undefined ? null : new Body(facts.bodyLength, orders, 'request')
    this.#path = facts.path
    this.#query = facts.query
    this.#orders = orders
    freeze(this)
  }
  get path () { return this.#path }
  set path (value) {
    const path = text(value, 'a path', 8192)
    if (!/^\\/[\\x21-\\x22\\x24-\\x3e\\x40-\\x7e]*$/.test(path)) throw new TypeError('not a path: ' + stringify(path).slice(0, 80))
    this.#orders.add(['path', path], path.length)
    this.#path = path
  }
  get query () { return this.#query }
  set query (value) {
    const query = text(value, 'a query', 8192)
    if (!/^[\\x21-\\x22\\x24-\\x7e]*$/.test(query)) throw new TypeError('not a query: ' + stringify(query).slice(0, 80))
    this.#orders.add(['query', query], query.length)
    this.#query = query
  }
  cookie (name) {
    const wanted = String(name)
    for (const field of this.headers.all('cookie')) {
      for (const pair of field.split(';')) {
        const equals = pair.indexOf('=')
        if (equals > 0 && pair.slice(0, equals).trim() === wanted) return pair.slice(equals + 1).trim()
      }
    }
    return undefined
  }
}

class Response {
  #status
  #orders
  constructor (facts, orders) {
    this.headers = new Headers(facts.headers, orders, 'response')
    this.body = facts.bodyLength === undefined ? null : new Body(facts.bodyLength, orders, 'response')
    this.#status = facts.status
    this.#orders = orders
    freeze(this)
  }
  get status () { return this.#status }
  set status (value) {
    const status = statusOf(value, 200)
    if (status === 204 || status === 304 || this.#status === 204 || this.#status === 304 || this.#status < 200)
      throw new RangeError('an answer with a body cannot become one without, nor the other way round')
    this.#orders.add(['status', status], 3)
    this.#status = status
  }
}

class Table {
  get (key) { return ask('table-get', text(key, 'a key', 256)) }
  set (key, value, seconds = 60) { ask('table-set', text(key, 'a key', 256), text(value, 'a value', 1024), Number(seconds)) }
  increment (key, by = 1, seconds = 60) { return ask('table-add', text(key, 'a key', 256), Number(by), Number(seconds)) }
  delete (key) { ask('table-delete', text(key, 'a key', 256)) }
}
const table = freeze(new Table())

class Weir {
  #orders
  #mayDecide
  constructor (facts, orders) {
    this.event = facts.event
    this.virtualService = facts.service
    this.request = new Request(facts.request, orders)
    this.client = freeze(facts.client)
    this.tls = facts.tls === null ? null : freeze(facts.tls)
    this.response = facts.response === null ? null : new Response(facts.response, orders)
    this.failure = facts.failure
    this.table = table
    this.#orders = orders
    this.#mayDecide = facts.event !== 'response' && facts.event !== 'response-body'
    freeze(this)
  }
  #decide (order, size) {
    if (!this.#mayDecide) throw new TypeError('a server has answered already: its status and headers may be changed')
    this.#orders.add(order, size)
  }
  usePool (name) { this.#decide(['pool', ask('pool', String(name))], 64) }
  usePoolGroup (name) { this.#decide(['group', ask('group', String(name))], 64) }
  useServer (pool, address, port) {
    this.#decide(['pool', ask('pool', String(pool))], 64)
    this.#orders.add(['server', text(address, 'an address', 64), port === undefined ? 0 : Number(port)], 64)
  }
  spreadBy (value) {
    const key = text(value, 'what a request is spread by', 1024)
    this.#decide(['spread', key], key.length + 8)
  }
  respond (status, options = {}) {
    const body = bodyOf(options.body)
    const fields = fieldsOf(options.headers)
    this.#decide(['respond', statusOf(status, 200), fields, body], body.length + 16 * fields.length)
  }
  redirect (location, status = 302) {
    const made = statusOf(status, 300)
    if (![301, 302, 303, 307, 308].includes(made)) throw new RangeError('not a status of a redirect: ' + made)
    this.#decide(['respond', made, [['location', fieldValue(location)]], ''], 64)
  }
  close () { this.#decide(['close'], 8) }
  stringGroup (name) {
    const group = ask('string-group', String(name))
    return freeze({ has: key => ask('string', group, String(key)) !== undefined, get: key => ask('string', group, String(key)) })
  }
  ipGroup (name) {
    const group = ask('ip-group', String(name))
    return freeze({ has: address => ask('ip', group, String(address)) })
  }
  log (...values) {
    const line = values.map(value => typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value)).join(' ').slice(0, 1024)
    this.#orders.add(['log', line], line.length)
  }
  count (name, by = 1) {
    const counter = text(name, 'the name of a counter', 64)
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(counter)) throw new TypeError('not the name of a counter: ' + stringify(counter))
    if (!isInteger(by) || by < 0) throw new RangeError('not a count: ' + String(by))
    this.#orders.add(['count', counter, by], 80)
  }
}

// Everything that outlives a run is frozen: nothing can be left behind for the next.
const seen = new Set()
const harden = first => {
  const waiting = [first]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue
    seen.add(value)
    freeze(value)
    waiting.push(getPrototypeOf(value))
    for (const key of [...getOwnPropertyNames(value), ...getOwnPropertySymbols(value)]) {
      const found = getOwnPropertyDescriptor(value, key)
      waiting.push(found.value, found.get, found.set)
    }
  }
}
const samples = [globalThis, notOurs, function* () {}, async function () {}, async function* () {}, (function* () {})(), (async function* () {})(),
  [][Symbol.iterator](), ''[Symbol.iterator](), new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), 'a'.matchAll(/a/g),
  Weir, Body, Request, Response, Headers, Orders, Table, table, ask, script]
for (const one of samples) harden(one)

const told = error => {
  try {
    if (error instanceof Error) return [String(error.name) + ': ' + String(error.message), String(error.stack)]
    return ['threw ' + String(error), '']
  } catch {
    return ['threw something that cannot be told', '']
  }
}

return facts => {
  const orders = new Orders()
  try {
    script(new Weir(parse(facts), orders))
    return orders.out()
  } catch (error) {
    const [message, stack] = told(error)
    return '!' + stringify([message.slice(0, 512), stack.slice(0, 2048), orders.out()])
  }
}
})`
