/** "New service": address, port and servers on one page; the vsvip and the pool are made with it, all or nothing. */
import { Button, CopyButton, MultiSelect, NumberInput, Select, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { Link, useNavigate } from 'react-router'
import { useFeed, useObjects, useWrite } from '../feed/feed.tsx'
import { addressesOf } from '../feed/objects.ts'
import type { AnyObject, VsVipConfig } from '../feed/objects.ts'
import { Problem, problemOf } from '../feed/problem.ts'
import { parseChanges } from '../feed/revision-parse.ts'
import type { ResourceChange } from '../feed/revision-parse.ts'
import { useSession } from '../feed/use-session.ts'
import { curlOf } from '../form/curl.ts'
import { choiceLabels } from '../form/schema.ts'
import { Diff } from '../part/diff.tsx'
import { useNotify } from '../part/notice.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Failure } from '../part/states.tsx'
import { layMacroViolations, macroOf } from './macro.ts'
import type { NewService } from './macro.ts'

const algorithms = choiceLabels([
  'LB_ALGORITHM_LEAST_CONNECTIONS',
  'LB_ALGORITHM_ROUND_ROBIN',
  'LB_ALGORITHM_FASTEST_RESPONSE',
  'LB_ALGORITHM_CONSISTENT_HASH',
  'LB_ALGORITHM_RANDOM'
])

const atFirst: NewService = {
  name: '',
  address: '',
  vsvipUuid: null,
  port: 80,
  isTls: false,
  certificateUuid: null,
  isTcp: false,
  servers: '',
  poolUuid: null,
  defaultServerPort: 80,
  algorithm: 'LB_ALGORITHM_LEAST_CONNECTIONS',
  monitorUuids: [],
  groupUuid: null,
  tcpProfileUuid: null
}

const optionsOf = (objects: readonly AnyObject[] | undefined): { readonly value: string; readonly label: string }[] =>
  (objects ?? []).map(({ uuid, name }) => ({ value: uuid, label: name }))

export function NewServicePage(): ReactNode {
  const { rest, tenant } = useFeed()
  const write = useWrite()
  const notify = useNotify()
  const navigate = useNavigate()
  const session = useSession()
  const vsvips = useObjects<VsVipConfig>('vsvip')
  const pools = useObjects<AnyObject>('pool')
  const monitors = useObjects<AnyObject>('healthmonitor')
  const certificates = useObjects<AnyObject>('sslkeyandcertificate')
  const groups = useObjects<AnyObject>('serviceenginegroup')
  const profiles = useObjects<AnyObject>('applicationprofile')
  const [service, setService] = useState<NewService>(atFirst)
  const [problem, setProblem] = useState<Problem>()
  const [changes, setChanges] = useState<readonly ResourceChange[]>()
  const [isBusy, setIsBusy] = useState(false)
  const set = (change: Partial<NewService>): void => {
    setService(before => ({ ...before, ...change }))
    setChanges(undefined)
  }
  const tcpProfileUuid = profiles.data?.find(profile => profile.name === 'System-L4-Application')?.uuid ?? null
  const body = macroOf({ ...service, tcpProfileUuid })
  const laid = layMacroViolations(problem?.violations ?? [])
  const attempt = async (act: () => Promise<void>): Promise<void> => {
    setIsBusy(true)
    setProblem(undefined)
    try {
      await act()
    } catch (error) {
      setProblem(problemOf(error))
    }
    setIsBusy(false)
  }
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault()
    void attempt(async () => {
      const made = (await write('POST', '/api/macro', body, ['virtualservice', 'pool', 'vsvip'])) as { readonly uuid: string }
      notify.done(`${service.name} created`)
      await navigate(`/services/${made.uuid}`)
    })
  }
  return (
    <div className="page narrow">
      <PageHead
        title="New service"
        actions={
          <Button component={Link} to="/services/form" variant="subtle" color="gray">
            All settings
          </Button>
        }
      />
      {problem && (
        <Failure
          what="Not created"
          problem={
            problem.violations.length === 0
              ? problem
              : new Problem(problem.status, problem.title, problem.message, laid.others, problem.instance)
          }
        />
      )}
      <form className="form" onSubmit={onSubmit}>
        <fieldset>
          <legend>What clients reach</legend>
          <div className="pair">
            <TextInput
              label="Name"
              required
              value={service.name}
              error={laid.byField.name}
              onChange={event => set({ name: event.currentTarget.value })}
            />
            <Select
              label="Address"
              description="A new one, or one that exists."
              data={[
                { value: 'new', label: 'New address' },
                ...(vsvips.data ?? []).map(vsvip => ({ value: vsvip.uuid, label: `${vsvip.name} (${addressesOf(vsvip).join(', ')})` }))
              ]}
              allowDeselect={false}
              searchable
              value={service.vsvipUuid ?? 'new'}
              onChange={value => set({ vsvipUuid: value === 'new' ? null : value })}
            />
            {service.vsvipUuid === null && (
              <TextInput
                label="New address"
                description="IPv4 or IPv6"
                required
                value={service.address}
                error={laid.byField.address}
                onChange={event => set({ address: event.currentTarget.value })}
              />
            )}
            <NumberInput
              label="Port"
              description="What clients connect to"
              required
              min={1}
              max={65535}
              clampBehavior="none"
              value={service.port}
              error={laid.byField.port}
              onChange={value => set({ port: Number(value) })}
            />
            <Select
              label="Protocol"
              description="HTTP is understood, TCP passed on."
              data={[
                { value: 'http', label: 'HTTP' },
                { value: 'https', label: 'HTTPS' },
                { value: 'tcp', label: 'TCP' }
              ]}
              allowDeselect={false}
              value={service.isTcp ? 'tcp' : service.isTls ? 'https' : 'http'}
              onChange={value => set({ isTcp: value === 'tcp', isTls: value === 'https' })}
            />
            {service.isTls && (
              <Select
                label="Certificate"
                data={optionsOf(certificates.data)}
                searchable
                required
                value={service.certificateUuid}
                error={laid.byField.certificate}
                onChange={value => set({ certificateUuid: value })}
              />
            )}
            <Select
              label="Engine group"
              description="Which engines carry it"
              placeholder="Default-Group"
              data={optionsOf(groups.data)}
              clearable
              value={service.groupUuid}
              error={laid.byField.group}
              onChange={value => set({ groupUuid: value })}
            />
          </div>
        </fieldset>
        <fieldset>
          <legend>Where requests go</legend>
          <div className="pair">
            <Select
              label="Pool"
              data={[{ value: 'new', label: 'New pool' }, ...optionsOf(pools.data)]}
              allowDeselect={false}
              searchable
              value={service.poolUuid ?? 'new'}
              onChange={value => set({ poolUuid: value === 'new' ? null : value })}
            />
            {service.poolUuid === null && (
              <>
                <Textarea
                  className="wide"
                  label="Servers"
                  description="One a line: address or name, with :port where it is not the default."
                  placeholder={'10.0.0.11\n10.0.0.12:8080'}
                  autosize
                  minRows={3}
                  maxRows={12}
                  value={service.servers}
                  error={laid.byField.servers}
                  onChange={event => set({ servers: event.currentTarget.value })}
                />
                <NumberInput
                  label="Default port"
                  description="Of servers that name none"
                  min={1}
                  max={65535}
                  clampBehavior="none"
                  value={service.defaultServerPort}
                  error={laid.byField.defaultServerPort}
                  onChange={value => set({ defaultServerPort: Number(value) })}
                />
                <Select
                  label="Picks by"
                  description="How one server is chosen"
                  data={[...algorithms]}
                  allowDeselect={false}
                  value={service.algorithm}
                  error={laid.byField.algorithm}
                  onChange={value => set({ algorithm: value ?? atFirst.algorithm })}
                />
                <MultiSelect
                  label="Health monitors"
                  description="Without one, servers count as up"
                  data={optionsOf(monitors.data)}
                  searchable
                  value={[...service.monitorUuids]}
                  error={laid.byField.monitors}
                  onChange={value => set({ monitorUuids: value })}
                />
              </>
            )}
          </div>
        </fieldset>
        {changes && (
          <Panel title="What will change">
            {changes.map(change => (
              <div key={change.uuid}>
                <p>
                  {change.action} {change.kind} <strong>{change.name}</strong>
                </p>
                <Diff entries={change.diff} />
              </div>
            ))}
          </Panel>
        )}
        <div className="form-foot">
          <Button type="submit" loading={isBusy}>
            Create
          </Button>
          <Button
            variant="default"
            loading={isBusy}
            onClick={() =>
              void attempt(async () => {
                const answer = await rest.write<Readonly<Record<string, unknown>>>('POST', '/api/macro?dry_run=true', body)
                setChanges(parseChanges(answer['_changes']))
              })
            }
          >
            What will change
          </Button>
          <CopyButton
            value={curlOf({
              origin: location.origin,
              method: 'POST',
              path: '/api/macro',
              body,
              userName: session.is === 'signed-in' ? session.session.userName : 'admin',
              tenant
            })}
          >
            {({ copied, copy }) => (
              <Button variant="subtle" color="gray" onClick={copy}>
                {copied ? 'Copied' : 'Copy as curl'}
              </Button>
            )}
          </CopyButton>
          <Button variant="subtle" color="gray" onClick={() => void navigate('/services')}>
            Cancel
          </Button>
        </div>
      </form>
    </div>
  )
}
