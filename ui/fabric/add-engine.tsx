/** Makes a join token, shows the one command, and waits for the engine to appear. */
import { Button, CopyButton, Drawer, NativeSelect, NumberInput, Select } from '@mantine/core'
import { Check, Copy } from 'lucide-react'
import { useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { Link } from 'react-router'
import { useInventory, useMissing, useObjects, useRuntime, useWrite } from '../feed/feed.tsx'
import type { AnyObject, Row } from '../feed/objects.ts'
import { problemOf } from '../feed/problem.ts'
import type { Problem } from '../feed/problem.ts'
import { referenceTo } from '../feed/reference.ts'
import { State } from '../part/health.tsx'
import { Failure } from '../part/states.tsx'
import { joinedSince } from './joined.ts'

interface JoinToken {
  readonly commands: Readonly<Record<Method, string>>
}

type Method = 'systemd' | 'deb' | 'rpm' | 'container' | 'compose' | 'kubernetes' | 'helm' | 'cloudinit' | 'ansible' | 'terraform'

/** What each way of running an engine needs of the host, in one sentence. */
const methods: readonly { readonly value: Method; readonly label: string; readonly needs: string; readonly as: string }[] = [
  {
    value: 'systemd',
    label: 'systemd host',
    needs: 'A Linux host or VM with systemd: the engine becomes a service of its own, with a user of its own.',
    as: 'Run this on the host, as root. It checks the controller’s key, installs the engine and joins.'
  },
  {
    value: 'deb',
    label: 'Debian package',
    needs: 'Debian, Ubuntu and their like: the same service as a package, which apt upgrades and removes.',
    as: 'Run this on the host, as root. The package comes from this controller; a repository of yours does as well.'
  },
  {
    value: 'rpm',
    label: 'RPM package',
    needs: 'A distribution with RPM and systemd: the same service as a package.',
    as: 'Run this on the host, as root. The package comes from this controller; a repository of yours does as well.'
  },
  {
    value: 'container',
    label: 'Container',
    needs: 'A host with Podman or Docker: the engine runs as a container on the host’s network, without root inside.',
    as: 'Run this on the host, as a user who may run containers. It checks the controller’s key, builds the engine’s image and starts it.'
  },
  {
    value: 'compose',
    label: 'Compose',
    needs: 'A host with Docker Compose (or Podman’s): the same container, described by a compose.yaml that you keep.',
    as: 'Run this on the host, in a folder for compose.yaml, as a user who may run containers.'
  },
  {
    value: 'kubernetes',
    label: 'Kubernetes',
    needs: 'A cluster and kubectl: an engine on each node (--kind daemonset), or pods that the cluster places (--kind deployment).',
    as: 'Run this where kubectl works. REGISTRY is where you pushed the image that “container.sh image” makes.'
  },
  {
    value: 'helm',
    label: 'Helm chart',
    needs: 'A cluster, kubectl and Helm: the same by a chart; the token is a Secret of its own.',
    as: 'Run this where kubectl and helm work. REGISTRY is where you pushed the image that “container.sh image” makes.'
  },
  {
    value: 'cloudinit',
    label: 'cloud-init',
    needs: 'A new virtual machine with cloud-init: it becomes an engine at its first boot.',
    as: 'Give this to the machine as its user-data; it is not a command.'
  },
  {
    value: 'ansible',
    label: 'Ansible role',
    needs: 'Linux hosts with systemd that Ansible reaches: the role installs, upgrades, removes and verifies.',
    as: 'Run this where Ansible is. HOST is the host that shall join; an inventory does as well.'
  },
  {
    value: 'terraform',
    label: 'Terraform module',
    needs: 'Linux hosts with systemd that Terraform reaches by SSH; or take its output user_data for machines that you make.',
    as: 'Run this where Terraform is. HOST is the host that shall join.'
  }
]

export function AddEngine({ isOpen, onClose }: { readonly isOpen: boolean; readonly onClose: () => void }): ReactNode {
  return (
    <Drawer
      opened={isOpen}
      onClose={onClose}
      position="right"
      size={480}
      title="Add an engine"
      closeButtonProps={{ 'aria-label': 'close' }}
    >
      {isOpen && <Steps />}
    </Drawer>
  )
}

function Steps(): ReactNode {
  const groups = useObjects<AnyObject>('serviceenginegroup')
  const engines = useInventory('serviceengine')
  const write = useWrite()
  const [method, setMethod] = useState<Method>('systemd')
  const [group, setGroup] = useState<string | null>(null)
  const [minutes, setMinutes] = useState<number | string>(60)
  const [uses, setUses] = useState<number | string>(1)
  const [token, setToken] = useState<JoinToken>()
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setIsBusy] = useState(false)
  /** Who was there before the token was made. */
  const [known, setKnown] = useState<ReadonlySet<string>>(new Set())
  const chosen = group ?? groups.data?.find(one => one.name === 'Default-Group')?.uuid ?? groups.data?.[0]?.uuid ?? null

  const onSubmit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    setIsBusy(true)
    setProblem(undefined)
    setKnown(new Set(engines.data?.map(engine => engine.uuid)))
    try {
      const body = {
        ...(chosen === null ? {} : { se_group_ref: referenceTo('serviceenginegroup', chosen) }),
        expiry_minutes: Number(minutes),
        uses: Number(uses)
      }
      setToken((await write('POST', '/api/jointoken', body, ['jointoken'])) as JoinToken)
    } catch (error) {
      setProblem(problemOf(error))
    }
    setIsBusy(false)
  }

  const { needs, as } = methods.find(one => one.value === method) ?? methods[0]!
  const choice = (
    <div className="stack">
      <NativeSelect
        label="How it runs"
        data={methods.map(({ value, label }) => ({ value, label }))}
        value={method}
        onChange={event => setMethod(event.currentTarget.value as Method)}
      />
      <p className="muted">{needs}</p>
      <NotPackaged />
    </div>
  )

  if (token) {
    const joined = joinedSince(engines.data ?? [], known)
    const command = token.commands[method]
    return (
      <div className="stack loose">
        {choice}
        <p>{as}</p>
        <div className="command">
          <code>{command}</code>
          <CopyButton value={command}>
            {({ copied, copy }) => (
              <Button variant="default" leftSection={copied ? <Check size={14} /> : <Copy size={14} />} onClick={copy}>
                {copied ? 'Copied' : 'Copy'}
              </Button>
            )}
          </CopyButton>
        </div>
        <p className="muted">
          It holds for {minutes} min and {uses === 1 ? 'one engine' : `${uses} engines`}; it is not shown again.
        </p>
        <section aria-label="Joined" aria-live="polite">
          {joined.length === 0 ? (
            <p>Waiting for the engine… it appears here by itself.</p>
          ) : (
            <ul className="joined">
              {joined.map(engine => (
                <Joined key={engine.uuid} engine={engine} />
              ))}
            </ul>
          )}
        </section>
        <div className="row">
          <Button variant="default" onClick={() => setToken(undefined)}>
            Another command
          </Button>
        </div>
      </div>
    )
  }
  return (
    <form className="stack loose" onSubmit={event => void onSubmit(event)}>
      {choice}
      <p className="muted">The engine makes its own key; the command carries a token that lets it join.</p>
      <Select
        label="Engine group"
        description="Decides which services it may carry."
        data={(groups.data ?? []).map(one => ({ value: one.uuid, label: one.name }))}
        value={chosen}
        onChange={setGroup}
        allowDeselect={false}
        searchable
      />
      <NumberInput label="Token holds for" suffix=" min" min={1} max={10080} value={minutes} onChange={setMinutes} />
      <NumberInput label="Engines that may use it" min={1} max={1000} value={uses} onChange={setUses} />
      {problem && <Failure what="No token" problem={problem} />}
      <Button type="submit" loading={isBusy}>
        Make the command
      </Button>
    </form>
  )
}

/** The command fetches the engine from the controller: without it there the command fails on the host. */
function NotPackaged(): ReactNode {
  const missing = useMissing('/install.sh')
  if (missing?.status !== 503) return null
  return (
    <div className="warning" role="alert">
      <strong>The engine was not built here yet, so that the command has nothing to fetch.</strong>
      <p>
        On the controller’s host, in the folder that it runs from: <code>make package</code>. This goes away when it is done.
      </p>
    </div>
  )
}

function Joined({ engine }: { readonly engine: Row<'serviceengine'> }): ReactNode {
  const runtime = useRuntime('serviceengine', engine.uuid, engine.runtime)
  return (
    <li className="row">
      <Link className="link" to={`/fabric/${engine.uuid}`}>
        {engine.config.name}
      </Link>
      {runtime && <State state={runtime.oper_status.state} />}
      <span className="muted">joined</span>
    </li>
  )
}
