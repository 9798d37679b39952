/** Answers that are kept: how often they served, what they take, and what was taken out by whom. */
import { Button, Select, TextInput } from '@mantine/core'
import { useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import type { CachePurgeRuntime, CacheRuntime } from '#model/resource/runtime.ts'
import { useFeed } from '../feed/feed.tsx'
import { problemOf } from '../feed/problem.ts'
import type { Problem } from '../feed/problem.ts'
import { formatCount } from '../format.ts'
import { Panel } from '../part/page.tsx'
import { Quantity } from '../part/quantity.tsx'
import { Failure } from '../part/states.tsx'

const ways = [
  { value: 'url', label: 'One address' },
  { value: 'prefix', label: 'Addresses that begin with' },
  { value: 'tag', label: 'Tag' },
  { value: 'all', label: 'Everything' }
] as const
type Way = (typeof ways)[number]['value']

export function Cache({ uuid, cache }: { readonly uuid: string; readonly cache: CacheRuntime }): ReactNode {
  return (
    <Panel title="Cache" aside={<span className="muted">since the engines started</span>}>
      <p className="row wrap">
        <strong>{cache.hit_ratio === null ? 'No requests yet' : <Quantity value={cache.hit_ratio} unit="ratio" />}</strong>
        {cache.hit_ratio !== null && <span>from the cache</span>}
        <span>
          {formatCount(cache.objects, 'answer')} in <Quantity value={cache.bytes} unit="bytes" />
        </span>
        <span className="muted">
          {cache.hits} hits, {cache.stale} stale, {cache.revalidated} revalidated, {cache.misses} misses, {cache.bypassed} past it
        </span>
        <span className="muted">
          <Quantity value={cache.saved_bytes} unit="bytes" /> saved
        </span>
      </p>
      <PurgeForm uuid={uuid} />
      {cache.purges.length > 0 && (
        <ul className="reasons">
          {cache.purges.map(purge => (
            <li key={`${purge.at} ${purge.what} ${purge.value}`}>{inWords(purge)}</li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function inWords({ what, value, by, at, objects, engines }: CachePurgeRuntime): string {
  const waiting = engines.filter(({ state }) => state === 'WAITING').map(({ engine_name: name }) => name)
  const thing = what === 'all' ? 'Everything' : what === 'tag' ? `Tag ${value}` : what === 'prefix' ? `${value}…` : value
  const rest = waiting.length === 0 ? '' : `; ${waiting.join(', ')} when back`
  return `${thing}: ${formatCount(objects, 'answer')} taken out by ${by}, ${new Date(at).toLocaleString()}${rest}`
}

function PurgeForm({ uuid }: { readonly uuid: string }): ReactNode {
  const { rest } = useFeed()
  const [way, setWay] = useState<Way>('url')
  const [value, setValue] = useState('')
  const [told, setTold] = useState('')
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setIsBusy] = useState(false)

  const onSubmit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    setIsBusy(true)
    setProblem(undefined)
    setTold('')
    try {
      const body = way === 'all' ? { all: true } : { [way]: value.trim() }
      setTold(inWords(await rest.write<CachePurgeRuntime>('POST', `/api/virtualservice/${uuid}/cache/purge`, body)))
    } catch (error) {
      setProblem(problemOf(error))
    }
    setIsBusy(false)
  }

  return (
    <form className="form" noValidate onSubmit={event => void onSubmit(event)}>
      <div className="pair first">
        <Select
          label="Take out"
          data={ways}
          value={way}
          allowDeselect={false}
          onChange={next => setWay((ways.find(({ value: known }) => known === next) ?? ways[0]).value)}
        />
        {way !== 'all' && (
          <TextInput
            label={way === 'tag' ? 'Tag' : 'Address'}
            placeholder={way === 'tag' ? 'shoes' : 'https://shop.example.com/shoes/'}
            value={value}
            onChange={event => setValue(event.currentTarget.value)}
            error={problem?.violations.find(({ pointer }) => pointer === `/${way}`)?.message}
          />
        )}
      </div>
      <div className="row wrap">
        <Button type="submit" variant="default" loading={isBusy} disabled={way !== 'all' && value.trim() === ''}>
          Take out
        </Button>
        {told !== '' && <span role="status">{told}</span>}
      </div>
      {problem && <Failure what="Nothing was taken out" problem={problem} />}
    </form>
  )
}
