/** The command line of `weir`, read once. */
import { parseArgs } from 'node:util'
import { kindNames, type KindName } from '#model/resource/kind.ts'
import { upgradeActions, type UpgradeAction } from '#model/resource/upgrade.ts'

export type Order =
  | { readonly is: 'help' }
  | { readonly is: 'version' }
  | { readonly is: 'login'; readonly controller: string; readonly caFile: string; readonly user: string }
  | { readonly is: 'list'; readonly kind: KindName; readonly isJson: boolean }
  | { readonly is: 'get'; readonly kind: KindName; readonly name: string }
  | { readonly is: 'delete'; readonly kind: KindName; readonly name: string }
  | { readonly is: 'takeover'; readonly name: string }
  | {
      readonly is: 'upgrade'
      readonly verb: 'status' | 'start' | UpgradeAction
      readonly group: string
      /** null: as the controller does when it is not told. */
      readonly parallel: number | null
      /** Until it is over or stands still. */
      readonly isWaiting: boolean
    }
  | { readonly is: 'backup-create'; readonly file: string }
  | { readonly is: 'backup-restore'; readonly file: string; readonly isForced: boolean }

/** The command line makes no sense; exit code 2. */
export class Usage extends Error {
  override readonly name = 'Usage'
}

export const USAGE = `usage: weir login --controller https://HOST:9443 --ca FILE [--user NAME]   (the password on standard input)
       weir list KIND [--json]
       weir get KIND NAME
       weir delete KIND NAME
       weir takeover ENGINE
       weir upgrade start GROUP [--parallel N] [--wait]
       weir upgrade status|pause|resume|abort|rollback GROUP [--wait]
       weir backup create FILE              (the passphrase on standard input)
       weir backup restore FILE [--force]   (on the controller's host, WEIR_DATA is the data folder)
       weir version`

const options = {
  controller: { type: 'string' },
  ca: { type: 'string' },
  user: { type: 'string' },
  json: { type: 'boolean' },
  force: { type: 'boolean' },
  parallel: { type: 'string' },
  wait: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' }
} as const
type Option = keyof typeof options

/**
 * Reads the words after `weir`.
 *
 * Throws  Usage
 */
export function readOrder(args: readonly string[]): Order {
  let parsed
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new Usage(error instanceof Error ? error.message : String(error))
  }
  const { values, positionals } = parsed
  if (values.help === true || positionals.length === 0) return { is: 'help' }
  const verb = ['backup', 'upgrade'].includes(positionals[0]!) ? positionals.slice(0, 2).join(' ') : positionals[0]!
  const rest = positionals.slice(verb.split(' ').length)
  const words = (count: number, ...allowed: readonly Option[]): readonly string[] => {
    const strange = (Object.keys(values) as Option[]).filter(name => !allowed.includes(name))
    if (rest.length !== count || strange.length > 0) throw new Usage(strange.length > 0 ? `--${strange[0]!} is not for ${verb}` : USAGE)
    return rest
  }
  switch (verb) {
    case 'version':
      words(0)
      return { is: 'version' }
    case 'login': {
      words(0, 'controller', 'ca', 'user')
      if (values.controller === undefined || values.ca === undefined) throw new Usage('login needs --controller and --ca')
      const url = URL.parse(values.controller)
      if (url?.protocol !== 'https:') throw new Usage(`--controller must look like https://controller:9443, not "${values.controller}"`)
      return { is: 'login', controller: url.origin, caFile: values.ca, user: values.user ?? 'admin' }
    }
    case 'list':
      return { is: 'list', kind: kindOf(words(1, 'json')[0]!), isJson: values.json === true }
    case 'get':
    case 'delete': {
      const [kind, name] = words(2)
      return { is: verb, kind: kindOf(kind!), name: name! }
    }
    case 'takeover':
      return { is: 'takeover', name: words(1)[0]! }
    case 'upgrade start': {
      const [group] = words(1, 'parallel', 'wait')
      const { parallel } = values
      if (parallel !== undefined && !/^[1-9]\d{0,2}$/.test(parallel)) throw new Usage(`--parallel must be a number, not "${parallel}"`)
      return {
        is: 'upgrade',
        verb: 'start',
        group: group!,
        parallel: parallel === undefined ? null : Number(parallel),
        isWaiting: values.wait === true
      }
    }
    case 'backup create':
      return { is: 'backup-create', file: words(1)[0]! }
    case 'backup restore':
      return { is: 'backup-restore', file: words(1, 'force')[0]!, isForced: values.force === true }
    default: {
      const said = verb.startsWith('upgrade ') ? (['status', ...upgradeActions] as const).find(one => verb === `upgrade ${one}`) : undefined
      if (said === undefined) throw new Usage(USAGE)
      return { is: 'upgrade', verb: said, group: words(1, 'wait')[0]!, parallel: null, isWaiting: values.wait === true }
    }
  }
}

function kindOf(text: string): KindName {
  const kind = kindNames.find(name => name === text.toLowerCase())
  if (kind === undefined) throw new Usage(`"${text}" is not a kind: ${kindNames.join(', ')}`)
  return kind
}
