/** Script sets of a virtual service, with everything that they may name. */
import type { FilledKind } from '#model/resource/catalogue.ts'
import type { ScriptSetSpec, TargetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { groupRanges } from './match.ts'
import { targetOf } from './pool.ts'
import type { Reader } from './resources.ts'

const eventOf = {
  VS_DATASCRIPT_EVT_HTTP_REQ: 'request',
  VS_DATASCRIPT_EVT_HTTP_REQ_DATA: 'request-body',
  VS_DATASCRIPT_EVT_HTTP_RESP: 'response',
  VS_DATASCRIPT_EVT_HTTP_RESP_DATA: 'response-body',
  VS_DATASCRIPT_EVT_HTTP_LB_FAILED: 'lb-failed'
} as const

export function scriptsOf(reader: Reader, references: FilledKind['virtualservice']['vs_datascripts']): Pick<VirtualServicePart, 'scripts'> {
  if (references === undefined || references.length === 0) return {}
  const scripts = references.toSorted((a, b) => a.index - b.index).map(({ vs_datascript_set_ref: ref }) => setOf(reader, ref))
  return { scripts }
}

function setOf(reader: Reader, ref: string): ScriptSetSpec {
  const { uuid, name, body } = reader.need('vsdatascriptset', ref)
  const byName = <T>(
    kind: 'pool' | 'poolgroup' | 'stringgroup' | 'ipaddrgroup',
    refs: readonly string[] | undefined,
    make: (ref: string) => T
  ) => Object.fromEntries((refs ?? []).map(one => [reader.need(kind, one).name, make(one)] as const))
  return {
    id: uuid,
    name,
    failsOpen: body.on_error === 'SCRIPT_FAIL_OPEN',
    timeLimitMs: body.time_limit,
    ...(body.datascript.some(({ evt }) => evt.endsWith('_DATA'))
      ? { bodies: { limitBytes: body.body_limit * 1024, passesLarge: body.on_large_body === 'SCRIPT_LARGE_BODY_PASS' } }
      : {}),
    programs: body.datascript.map(({ evt, script }) => ({ event: eventOf[evt], source: script })),
    pools: byName('pool', body.pool_refs, pool => ({ is: 'pool', poolId: reader.poolPart(pool) }) satisfies TargetSpec),
    poolGroups: byName('poolgroup', body.pool_group_refs, group => targetOf(reader, { pool: undefined, group })!),
    stringGroups: byName('stringgroup', body.string_group_refs, group =>
      Object.fromEntries((reader.need('stringgroup', group).body.kv ?? []).map(({ key, value = '' }) => [key, value]))
    ),
    ipGroups: byName('ipaddrgroup', body.ipgroup_refs, group => groupRanges(reader, group))
  }
}
