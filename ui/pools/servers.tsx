/** The servers of a pool: how each is, what the last probe saw, what it carries; and its switch. */
import { Modal, Switch, UnstyledButton } from '@mantine/core'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { PoolRuntime, ProbeReport, ServerRuntime } from '#model/resource/runtime.ts'
import { useDocument, useRead, useRuntime, useWatch, useWrite } from '../feed/feed.tsx'
import type { AnyObject, ServerConfig } from '../feed/objects.ts'
import { formatQuantity, formatTime } from '../format.ts'
import { State, Verdict } from '../part/health.tsx'
import { useNotify } from '../part/notice.tsx'
import { Age } from '../part/now.tsx'
import { Quantity } from '../part/quantity.tsx'
import { Empty, Read } from '../part/states.tsx'
import { DataTable } from '../part/table.tsx'
import type { Column } from '../part/table.tsx'
import { whyIdle } from './idle.ts'

interface ServerRow extends ServerRuntime {
  readonly uuid: string
  /** Why zones leave nothing for it; '' where they do not. */
  readonly idle: string
  readonly onSwitch: (server: ServerRuntime) => Promise<void>
}

const key = (server: { readonly server: string; readonly port: number }): string => `${server.server}:${server.port}`

function SwitchCell({ row }: { readonly row: ServerRow }): ReactNode {
  const [isBusy, setIsBusy] = useState(false)
  return (
    <Switch
      aria-label={`${row.server}:${row.port} takes traffic`}
      checked={row.enabled}
      disabled={isBusy}
      onChange={() => {
        setIsBusy(true)
        void row.onSwitch(row).finally(() => setIsBusy(false))
      }}
    />
  )
}

interface Probe {
  readonly engine: string
  readonly report: ProbeReport
}

/** What the last probes sent and what came back. */
function Exchanges({
  probes,
  isOpen,
  onClose
}: {
  readonly probes: readonly Probe[]
  readonly isOpen: boolean
  readonly onClose: () => void
}): ReactNode {
  return (
    <Modal opened={isOpen} onClose={onClose} title="Last probes" size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      {probes.map(({ engine, report }) => (
        <section key={`${engine} ${report.monitor_uuid}`} aria-label={`${report.monitor_name} on ${engine}`}>
          <p>
            <Verdict verdict={report.verdict} /> <strong>{report.monitor_name}</strong>{' '}
            <span className="muted">
              on {engine}, {formatTime(report.at)}, {formatQuantity(report.duration_ms, 'ms')}
            </span>
          </p>
          <p>{report.detail}</p>
          {report.request === '' ? <p className="muted">Nothing was sent.</p> : <pre className="probe-text">{report.request}</pre>}
          {report.answer === '' ? <p className="muted">Nothing came back.</p> : <pre className="probe-text">{report.answer}</pre>}
        </section>
      ))}
    </Modal>
  )
}

function Probes({ row }: { readonly row: ServerRow }): ReactNode {
  const [isOpen, setIsOpen] = useState(false)
  const probes = row.engines.flatMap(engine => engine.probes.map(report => ({ engine: engine.engine_name, report })))
  if (row.engines.length === 0) return <span className="muted">no engine carries it</span>
  if (probes.length === 0) return <span className="muted">no monitor</span>
  const worst = (probes.find(({ report }) => report.verdict === 'down') ?? probes[0]!).report
  return (
    <>
      <UnstyledButton
        onClick={() => setIsOpen(true)}
        title={probes
          .map(
            ({ engine, report }) =>
              `${report.monitor_name} on ${engine}: ${report.detail} (${formatQuantity(report.duration_ms, 'ms')}), at ${formatTime(report.at)}`
          )
          .join('\n')}
      >
        <Verdict verdict={worst.verdict} /> <span className="live">{worst.detail}</span>{' '}
        <span className="muted">
          {worst.monitor_name}, <Age at={worst.at} /> ago
        </span>
      </UnstyledButton>
      <Exchanges probes={probes} isOpen={isOpen} onClose={() => setIsOpen(false)} />
    </>
  )
}

/** The ratio, and how much of it the server says that it can take. */
function Weight({ row }: { readonly row: ServerRow }): ReactNode {
  const told = row.engines.map(engine => engine.weight_percent)
  const least = Math.min(100, ...told)
  if (least === 100) return row.ratio
  return (
    <span title="How much of its ratio the server says that it can take">
      {row.ratio} × {formatQuantity(least, 'percent')}
    </span>
  )
}

const columns: readonly Column<ServerRow>[] = [
  {
    key: 'server',
    title: 'Server',
    cell: row => (
      <strong>
        {row.server}
        <span className="muted">:{row.port}</span>
      </strong>
    )
  },
  {
    key: 'state',
    title: 'State',
    cell: row => (
      <span title={row.oper_status.reason.join('; ')}>
        <State state={row.oper_status.state} />
      </span>
    )
  },
  { key: 'probe', title: 'Last probe', isCut: true, hide: 'narrow', cell: row => <Probes row={row} /> },
  { key: 'connections', title: 'Connections', isNumber: true, cell: row => <Quantity value={row.live.open_connections} unit="count" /> },
  {
    key: 'requests',
    title: 'Requests',
    isNumber: true,
    hide: 'narrow',
    cell: row => <Quantity value={row.live.requests_per_s} unit="per-s" />
  },
  {
    key: 'errors',
    title: 'Errors 5xx',
    isNumber: true,
    hide: 'medium',
    cell: row => <Quantity value={row.live.errors_5xx_per_s} unit="per-s" />
  },
  {
    key: 'latency',
    title: 'Latency p95',
    isNumber: true,
    hide: 'narrow',
    cell: row => <Quantity value={row.live.latency_p95_ms} unit="ms" />
  },
  { key: 'ratio', title: 'Weight', isNumber: true, hide: 'medium', cell: row => <Weight row={row} /> },
  { key: 'switch', title: 'Enabled', isShrunk: true, cell: row => <SwitchCell row={row} /> }
]

/** Only where it is of any use. */
const zoneColumn: Column<ServerRow> = {
  key: 'zone',
  title: 'Zone',
  hide: 'medium',
  cell: row => (
    <span title={row.idle}>
      {row.zone ?? <span className="muted">none</span>}
      {row.idle !== '' && <span className="muted"> stands by</span>}
    </span>
  )
}

const columnsWith = (hasZones: boolean): readonly Column<ServerRow>[] =>
  hasZones ? columns.flatMap(column => (column.key === 'state' ? [column, zoneColumn] : [column])) : columns

/** Which element of `servers` a runtime row comes from: by address or name as written, and port. */
function isSame(config: ServerConfig, server: ServerRuntime, defaultPort: number): boolean {
  return (config.hostname === server.server || config.ip.addr === server.server) && (config.port ?? defaultPort) === server.port
}

export function Servers({ poolUuid }: { readonly poolUuid: string }): ReactNode {
  const told = useRead<PoolRuntime>(['pool', 'runtime', poolUuid], `/api/pool/${poolUuid}/runtime/detail`)
  const runtime = useRuntime('pool', poolUuid, told.data)
  const written = useDocument('pool', poolUuid)
  const write = useWrite()
  const notify = useNotify()
  useWatch([`pool:${poolUuid}`])
  const onSwitch = async (server: ServerRuntime): Promise<void> => {
    const document = written.data
    if (!document) return
    const servers = (document['servers'] ?? []) as readonly ServerConfig[]
    const defaultPort = Number(document['default_server_port'] ?? 80)
    const body: AnyObject = {
      ...document,
      servers: servers.map(config => (isSame(config, server, defaultPort) ? { ...config, enabled: !server.enabled } : config))
    }
    try {
      await write('PUT', `/api/pool/${poolUuid}`, body, ['pool'])
      notify.done(server.enabled ? `${key(server)} takes no new connections` : `${key(server)} takes traffic`)
    } catch (error) {
      notify.failed(`${key(server)} not changed`, error)
    }
  }
  // Rows of a short-lived subscription may come without details: then what REST told stays.
  const servers = runtime && runtime.servers.length === 0 && runtime.num_servers > 0 ? (told.data?.servers ?? []) : (runtime?.servers ?? [])
  return (
    <Read reading={{ ...told, data: runtime }} what="the servers">
      {() =>
        servers.length === 0 ? (
          <Empty
            title="No servers"
            action={
              <Link className="inline-link" to={`/pools/${poolUuid}/edit`}>
                Add servers
              </Link>
            }
          >
            A pool without servers answers 503 for every request.
          </Empty>
        ) : (
          <DataTable
            label="Servers"
            rows={servers.map(server => ({
              ...server,
              uuid: key(server),
              idle: runtime === undefined ? '' : whyIdle(server, runtime),
              onSwitch
            }))}
            columns={columnsWith(servers.some(({ zone }) => zone !== undefined))}
            nameOf={key}
          />
        )
      }
    </Read>
  )
}
