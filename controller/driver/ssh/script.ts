/** What is run on a host, as text for its shell on standard input: no argument shows in a list of processes. Pure. */

export interface HostScript {
  /** Tells our engines from those of another controller. */
  readonly controllerId: string
  readonly name: string
}

export interface InstallScript extends HostScript {
  readonly controllerUrl: string
  readonly pin: string
  /** Left out: what is installed is only started. */
  readonly token?: string
}

/** Whose engine a host carries: a line, there before anything is installed and gone after all else. */
const MARKER = '/var/lib/weir-driver'

/**
 * One word for a POSIX shell, whatever it holds.
 *
 * Throws  RangeError for what no shell takes: a NUL
 */
export function quote(text: string): string {
  if (text.includes('\0')) throw new RangeError('a word of a shell cannot hold NUL')
  return `'${text.replaceAll("'", `'\\''`)}'`
}

const head = ({ controllerId, name }: HostScript): string => `set -eu
mine=${quote(`${controllerId} ${name}`)}
marker=${MARKER}
# One at a time: what a controller that died had begun runs to its end first.
if command -v flock >/dev/null; then exec 9>/run/weir-driver.lock; flock 9; fi
theirs=$(cat "$marker" 2>/dev/null || true)
say() { printf 'weir: %s\\n' "$1" >&2; }
`

/** Installs an engine that joins, or starts the one that did. Ends with 3 when the host is somebody else's. */
export function installScript(order: InstallScript): string {
  const { controllerUrl, pin, token = '' } = order
  return `${head(order)}if [ -n "$theirs" ] && [ "$theirs" != "$mine" ]; then
  say "the host carries another engine that a driver made: $theirs"; exit 3
fi
if [ -z "$theirs" ] && [ -e /opt/weir/weir-engine ]; then
  say 'the host carries an engine that was installed by hand'; exit 3
fi
printf '%s\\n' "$mine" >"$marker"
if [ -f /opt/weir/joined ]; then
  systemctl is-active --quiet weir-engine || systemctl start weir-engine
  exit 0
fi
token=${quote(token)}
if [ -z "$token" ]; then say 'the engine is not installed any more'; exit 1; fi
for tool in curl systemctl; do command -v "$tool" >/dev/null || { say "$tool is missing on the host"; exit 1; }; done
installer=$(mktemp)
trap 'rm -f "$installer"' EXIT
curl -fsSLk --connect-timeout 10 --max-time 60 --pinnedpubkey ${quote(pin)} ${quote(`${controllerUrl}/install.sh`)} -o "$installer" || {
  say 'the installer could not be fetched from the controller'; exit 1
}
WEIR_TOKEN="$token" WEIR_UP_WITHIN=60 sh "$installer" --controller ${quote(controllerUrl)} --pin ${quote(pin)} </dev/null >&2
`
}

/** Removes our engine; nothing where the host carries none of ours. */
export function removeScript(order: HostScript): string {
  return `${head(order)}[ "$theirs" = "$mine" ] || exit 0
if [ -x /opt/weir/install.sh ]; then sh /opt/weir/install.sh remove </dev/null >&2; fi
rm -f "$marker"
`
}
