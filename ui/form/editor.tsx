/** The form of any kind: create, edit, clone. */
import { Button, CopyButton, TextInput } from '@mantine/core'
import { useEffect, useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { isKindName, kinds } from '#model/resource/catalogue.ts'
import type { Json, JsonObject } from '#model/resource/kind.ts'
import { useDocument, useFeed, useRead, useWrite } from '../feed/feed.tsx'
import type { AnyObject } from '../feed/objects.ts'
import { Problem, problemOf } from '../feed/problem.ts'
import { parseChanges } from '../feed/revision-parse.ts'
import type { ResourceChange } from '../feed/revision-parse.ts'
import { useSession } from '../feed/use-session.ts'
import { textIn } from '../json.ts'
import { Confirm } from '../part/confirm.tsx'
import { Diff } from '../part/diff.tsx'
import { useNotify } from '../part/notice.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Empty, Failure, Read } from '../part/states.tsx'
import { curlOf } from './curl.ts'
import { Fields, FormProvider } from './fields.tsx'
import { pathOfKind, pathOfObject } from './path.ts'
import { layViolations, withValueAt } from './pointer.ts'
import { blankDocument, fieldsOf, withinSentence } from './schema.ts'
import { documentYaml } from './yaml.ts'

/** What the server owns and gives again; `_last_modified` stays, so that a stale save is refused. */
const owned = ['uuid', 'url', 'tenant_ref', '_last_modified']

export function EditorPage(props: { readonly kind?: string; readonly isClone?: boolean }): ReactNode {
  const params = useParams()
  const kind = props.kind ?? params['kind'] ?? ''
  const uuid = params['uuid']
  const isSingle = isKindName(kind) && kinds[kind].scope === 'single'
  const one = useDocument(kind, uuid)
  const single = useRead<AnyObject>([kind, 'document'], isSingle ? `/api/${kind}?include_name&skip_default` : undefined)
  const reading = isSingle ? single : one
  if (!isKindName(kind))
    return (
      <div className="page">
        <Empty title="There is no such kind">The address may be mistyped.</Empty>
      </div>
    )
  if (uuid === undefined && !isSingle) return <Editor key={kind} kind={kind} original={undefined} isClone={false} />
  return (
    <Read reading={reading} what="the object">
      {original => (
        <Editor key={`${uuid} ${props.isClone ?? false}`} kind={kind} original={original as JsonObject} isClone={props.isClone ?? false} />
      )}
    </Read>
  )
}

interface Preview {
  readonly changes: readonly ResourceChange[]
  readonly warnings: readonly string[]
}

function Editor(props: {
  readonly kind: keyof typeof kinds
  readonly original: JsonObject | undefined
  readonly isClone: boolean
}): ReactNode {
  const { kind, original, isClone } = props
  const { schema, title, description } = kinds[kind]
  const fields = useMemo(
    () => fieldsOf(schema as unknown as Readonly<Record<string, unknown>>).filter(field => field.name !== 'tenant_ref'),
    [schema]
  )
  const [document, setDocument] = useState<JsonObject>(() => {
    if (!original) return blankDocument(fields)
    if (!isClone) return original
    const copy = Object.fromEntries(Object.entries(original).filter(([name]) => !owned.includes(name)))
    return { ...copy, name: `${nameOf(original)}-copy` }
  })
  const [problem, setProblem] = useState<Problem>()
  const [preview, setPreview] = useState<Preview>()
  const [reason, setReason] = useState('')
  const [isBusy, setIsBusy] = useState(false)
  const [isDeleting, setIsDeleting] = useState(false)
  const { rest, tenant } = useFeed()
  const write = useWrite()
  const notify = useNotify()
  const navigate = useNavigate()
  const session = useSession()
  const laid = useMemo(() => layViolations(problem?.violations ?? [], fields), [problem, fields])
  const isNew = !original || isClone
  const uuid = isNew ? undefined : textIn(original['uuid'])
  const method = isNew ? 'POST' : 'PUT'
  const isSingle = kinds[kind].scope === 'single'
  const path = isNew || isSingle ? `/api/${kind}` : `/api/${kind}/${uuid}`
  const name = typeof document['name'] === 'string' && document['name'] !== '' ? document['name'] : withinSentence(title)
  const heading = isNew ? (isClone ? `Clone ${nameOf(original)}` : `New ${withinSentence(title)}`) : `Edit ${nameOf(original)}`

  useEffect(() => {
    // The first field that is wrong comes into view: it may be far down, or have been folded.
    if (laid.byPointer.size > 0) window.document.querySelector('[aria-invalid="true"]')?.scrollIntoView({ block: 'center' })
  }, [laid])

  const onChange = (pointer: string, value: Json | undefined): void => {
    setDocument(before => withValueAt(before, pointer, value))
    setPreview(undefined)
  }
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
  const look = (): Promise<void> =>
    attempt(async () => {
      const answer = await rest.write<Readonly<Record<string, unknown>>>(method, `${path}?dry_run=true`, document)
      setPreview(parsePreview(answer))
    })
  const save = (): Promise<void> =>
    attempt(async () => {
      const answer = (await write(method, path, document, [kind], reason)) as { readonly uuid?: string } | undefined
      notify.done(`${name} saved`)
      await navigate(
        isSingle ? '/settings' : pages.has(kind) && answer?.uuid !== undefined ? pathOfObject(kind, answer.uuid) : pathOfKind(kind)
      )
    })

  return (
    <div className="page narrow">
      <PageHead
        title={heading}
        actions={
          !isNew &&
          !isSingle &&
          !pages.has(kind) && (
            <>
              <Button component={Link} to="clone" relative="path" variant="default">
                Clone
              </Button>
              <Button variant="default" onClick={() => setIsDeleting(true)}>
                Delete…
              </Button>
            </>
          )
        }
      />
      <p className="muted">{description}</p>
      {problem && problem.violations.length === 0 && (
        <Failure
          what="Not saved"
          problem={problem}
          // Somebody was quicker: what is here was made from what is no more.
          {...(problem.status === 412 ? { retry: 'Load what it is now', onRetry: () => location.reload() } : {})}
        />
      )}
      {problem && problem.violations.length > 0 && (
        <Failure
          what={`Not saved: ${problem.violations.length === 1 ? 'one thing is' : `${problem.violations.length} things are`} wrong`}
          problem={new Problem(problem.status, problem.title, problem.message, laid.others, problem.instance)}
        />
      )}
      <form
        className="form"
        noValidate
        onSubmit={event => {
          event.preventDefault()
          void save()
        }}
      >
        <FormProvider form={{ document, violations: laid.byPointer, onChange }}>
          <Fields fields={fields} pointer="" />
        </FormProvider>
        {preview && <PreviewPanel preview={preview} kind={kind} uuid={uuid} />}
        <div className="form-foot">
          <Button type="submit" loading={isBusy}>
            Save
          </Button>
          <Button variant="default" loading={isBusy} onClick={() => void look()}>
            What will change
          </Button>
          <TextInput
            aria-label="Why"
            placeholder="Why (kept with the revision)"
            value={reason}
            onChange={event => setReason(event.currentTarget.value)}
            style={{ flex: '1 1 160px' }}
          />
          <CopyButton
            value={curlOf({
              origin: location.origin,
              method,
              path,
              body: document,
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
          <CopyButton value={documentYaml(kind, document)}>
            {({ copied, copy }) => (
              <Button variant="subtle" color="gray" onClick={copy}>
                {copied ? 'Copied' : 'Copy as YAML'}
              </Button>
            )}
          </CopyButton>
          <Button variant="subtle" color="gray" onClick={() => void navigate(-1)}>
            Cancel
          </Button>
        </div>
      </form>
      {isDeleting && uuid !== undefined && (
        <Confirm
          title={`Delete ${nameOf(original)}?`}
          verb="Delete"
          onClose={() => setIsDeleting(false)}
          onConfirm={async () => {
            await write('DELETE', `/api/${kind}/${uuid}`, undefined, [kind])
            notify.done(`${nameOf(original)} deleted`)
            await navigate(pathOfKind(kind))
          }}
        >
          What still uses it keeps it from being deleted; then you see what that is.
        </Confirm>
      )}
    </div>
  )
}

const nameOf = (object: JsonObject | undefined): string => textIn(object?.['name'])

/** Kinds whose objects have a page beside their form. */
const pages: ReadonlySet<string> = new Set(['virtualservice', 'pool', 'serviceengine'])

function parsePreview(answer: Readonly<Record<string, unknown>>): Preview {
  const warnings = Array.isArray(answer['_warnings']) ? answer['_warnings'] : []
  return {
    changes: parseChanges(answer['_changes']),
    warnings: warnings.map((warning: unknown) => JSON.stringify(warning))
  }
}

/** What refers to the object, and so may behave differently after the change. */
function useTouched(
  kind: string,
  uuid: string | undefined
): readonly { readonly kind: string; readonly uuid: string; readonly name: string }[] {
  const path = (referrer: string): string | undefined =>
    uuid === undefined ? undefined : `/api/${referrer}?refers_to=${kind}:${uuid}&page_size=200`
  const services = useRead<ResultList>(['virtualservice', 'referrers', uuid], path('virtualservice'))
  const pools = useRead<ResultList>(['pool', 'referrers', uuid], path('pool'))
  return [
    ...(services.data?.results ?? []).map(one => ({ kind: 'virtualservice', uuid: one.uuid, name: one.name })),
    ...(pools.data?.results ?? []).map(one => ({ kind: 'pool', uuid: one.uuid, name: one.name }))
  ]
}

interface ResultList {
  readonly results: readonly AnyObject[]
}

function PreviewPanel(props: { readonly preview: Preview; readonly kind: string; readonly uuid: string | undefined }): ReactNode {
  const { preview } = props
  const touched = useTouched(props.kind, props.uuid)
  return (
    <Panel title="What will change">
      {preview.changes.length > 0 && touched.length > 0 && (
        <p>
          It is used by{' '}
          {touched.map((one, at) => (
            <span key={one.uuid}>
              {at > 0 && ', '}
              {one.kind}{' '}
              <Link className="inline-link" to={pathOfObject(one.kind, one.uuid)}>
                {one.name}
              </Link>
            </span>
          ))}
          .
        </p>
      )}
      {preview.changes.length === 0 && <p className="muted">Nothing: it is so already.</p>}
      {preview.changes.map(change => (
        <div key={change.uuid}>
          <p>
            {change.action} {change.kind} <strong>{change.name}</strong>
          </p>
          <Diff entries={change.diff} />
        </div>
      ))}
      {preview.warnings.map(warning => (
        <p key={warning} className="warning">
          {warning}
        </p>
      ))}
    </Panel>
  )
}
