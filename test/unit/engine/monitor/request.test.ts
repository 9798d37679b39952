import t from 'tap'
import { formatRequest } from '#engine/monitor/http/http.ts'

const spec = {
  is: 'http',
  request: 'HEAD / HTTP/1.0',
  isExactRequest: false,
  statusRanges: [],
  bodyContains: null,
  maintenanceStatuses: [],
  maintenanceBody: null,
  tls: null,
  authorization: null
} as const
const target = { ip: '10.0.0.1', port: 8080, host: '10.0.0.1', hostHeader: null }

t.test('formatRequest completes what the operator wrote', async t => {
  t.equal(
    formatRequest(spec, target),
    'HEAD / HTTP/1.0\r\nHost: 10.0.0.1:8080\r\nUser-Agent: Weir-Health-Monitor\r\nAccept: */*\r\nConnection: close\r\n\r\n'
  )
  t.match(formatRequest({ ...spec, request: 'GET / HTTP/1.1\nhost: a.test\n' }, target), /^GET \/ HTTP\/1.1\r\nhost: a.test\r\nUser-Agent/)
  t.match(formatRequest(spec, { ...target, hostHeader: 'shop.test' }), /\r\nHost: shop.test\r\n/)
  t.match(formatRequest(spec, { ...target, host: 'fd00::1' }), /\r\nHost: \[fd00::1\]:8080\r\n/)
  t.match(formatRequest({ ...spec, authorization: 'Basic eDp5' }, target), /\r\nAuthorization: Basic eDp5\r\n/)
  t.match(formatRequest({ ...spec, request: 'POST / HTTP/1.1\r\n\r\nhello' }, target), /Content-Length: 5\r\n\r\nhello$/)
})

t.test('formatRequest adds nothing to an exact request', async t => {
  t.equal(
    formatRequest({ ...spec, isExactRequest: true, request: 'GET /x HTTP/1.0\r\nA: b\r\n\r\n' }, target),
    'GET /x HTTP/1.0\r\nA: b\r\n\r\n'
  )
})
