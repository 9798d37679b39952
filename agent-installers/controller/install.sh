#!/bin/sh
# Makes a Linux host with systemd a Weir controller. Lies in the folder that weir-controller-linux-ARCH.tar.gz holds:
#   tar -xzf weir-controller-linux-x64.tar.gz && sudo weir-controller/install.sh
# Verbs: install (default) upgrade remove verify unit; on a host that has the package: setup. Each is safe to repeat; --plan says
# what it would do and does nothing.
set -eu
umask 022

PREFIX=/opt/weir-controller
DATA=/var/lib/weir-controller
# The data as they were before the last upgrade; the controller cannot write there.
BEFORE=$DATA.before
SETTINGS=/etc/weir-controller.env
# The first administrator's password, until the first start has come up.
FIRST=/run/weir-controller.first
ACCOUNT=weir-controller
NAME=weir-controller
UNITS=/etc/systemd/system
# Put here by the package of Debian or RPM: what the host's own folders hold belongs to the package manager then.
PACKAGED=''
[ ! -f "$PREFIX/packaged" ] || PACKAGED=1 UNITS=/usr/lib/systemd/system
UNIT=$UNITS/$NAME.service
# Seconds until the controller must be ready; large data are read and checked as a whole.
UP_WITHIN=${WEIR_UP_WITHIN:-60}

say() { printf '%-11s%s\n' "$1" "$2"; }
fail() { printf 'weir: %s\n' "$1" >&2; exit "${2:-1}"; }
have() { command -v "$1" >/dev/null 2>&1; }

usage() {
  cat <<'END'
usage: install.sh [install|setup|upgrade|remove [--purge]|verify|unit] [--plan]
       WEIR_ADMIN_PASSWORD in the environment: the first administrator's password, made up when it is not there
END
}

# The unit for a version of systemd: what an older one does not know it would complain about at each start.
render_unit() {
  cat <<END
[Unit]
Description=Weir controller
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=$ACCOUNT
Group=$ACCOUNT
ExecStart=$PREFIX/node $PREFIX/controller/main.mjs
Environment=LD_LIBRARY_PATH=$PREFIX/lib WEIR_DATA=$DATA
EnvironmentFile=-$SETTINGS
EnvironmentFile=-$FIRST
StateDirectory=$NAME
StateDirectoryMode=0700
UMask=0077
Restart=always
RestartSec=500ms
END
  [ "$1" -lt 254 ] || printf 'RestartSteps=8\nRestartMaxDelaySec=30s\n'
  cat <<'END'
KillMode=mixed
TimeoutStopSec=30s
LimitNOFILE=1048576
LimitCORE=0

# Its ports are above 1023: it needs no right at all. V8 compiles at run time: MemoryDenyWriteExecute is not possible.
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
END
}

systemd_version() { systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }
put_unit() { render_unit "$(systemd_version)" >"$UNIT"; }
has_account() { getent passwd "$ACCOUNT" >/dev/null 2>&1; }
is_installed() { [ -x "$PREFIX/node" ] && [ -f "$UNIT" ]; }
has_data() { [ -f "$DATA/weir.db" ]; }

check_root() {
  [ "$(id -u)" = 0 ] || fail "must run as root: put sudo before it"
}

check_host() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s): a controller needs Linux"
  check_root
  [ -d /run/systemd/system ] || fail "this host does not run systemd: use the container instead"
  for tool in useradd sha256sum cp; do have "$tool" || fail "$tool is missing on this host: install it and run this again"; done
  glibc=$({ getconf GNU_LIBC_VERSION 2>/dev/null || true; } | sed -n 's/^glibc //p')
  [ -n "$glibc" ] || fail "this host has no glibc (musl?): use the container instead"
  major=${glibc%%.*} minor=${glibc#*.}
  minor=${minor%%[!0-9]*}
  if [ "$major" -lt 2 ] || { [ "$major" = 2 ] && [ "$minor" -lt 28 ]; }; then
    fail "glibc $glibc is too old: 2.28 or newer is needed (Debian 10, RHEL 8, Ubuntu 18.10)"
  fi
}

# What this script came with.
check_source() {
  HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" 2>/dev/null && pwd) || HERE=''
  [ -f "$HERE/controller/main.mjs" ] || fail "run it where it lies: in the folder that weir-controller-linux-ARCH.tar.gz holds"
  [ "$HERE" != "$PREFIX" ] || fail "this is the one that is installed: run install.sh in the folder of the newer controller"
  changed=$(cd "$HERE" && sha256sum --check --quiet SHA256SUMS 2>&1) ||
    fail "what came is broken, its checksum differs: unpack it again ($(printf '%s\n' "$changed" | head -n 1))"
}

is_same() { [ "$(cat "$HERE/SHA256SUMS")" = "$(cat "$PREFIX/SHA256SUMS")" ]; }

# The host's own libraries are newer or better tested: of ours only those are taken that it lacks.
keep_needed_libraries() {
  rm -rf "${1:?}/lib"
  mkdir "$1/lib"
  until trouble=$(env -i "LD_LIBRARY_PATH=$1/lib" "$1/node" --version 2>&1); do
    library=$(printf '%s\n' "$trouble" | sed -n 's/.*: \(lib[A-Za-z0-9_.+-]*\): cannot open shared object.*/\1/p')
    if [ -z "$library" ] || ! [ -f "$1/shipped/$library" ]; then fail "Node does not start on this host: $trouble"; fi
    cp -p "$1/shipped/$library" "$1/lib/"
  done
}

put_account() {
  has_account || useradd --system --user-group --no-create-home --home-dir "$DATA" --shell /usr/sbin/nologin "$ACCOUNT"
  install -d -m 700 -o "$ACCOUNT" -g "$ACCOUNT" "$DATA"
}

# The installed files, whole or not at all.
put_files() {
  fresh=$PREFIX.new
  rm -rf "$fresh"
  mkdir -p "$(dirname "$PREFIX")"
  cp -R "$HERE" "$fresh"
  chown -R 0:0 "$fresh"
  rm -rf "${fresh:?}/lib"
  keep_needed_libraries "$fresh"
  [ ! -e "$PREFIX" ] || mv "$PREFIX" "$PREFIX.old"
  mv "$fresh" "$PREFIX"
  put_unit
}

# A value of the settings, as systemd reads the file, or $2.
setting() {
  value=$(sed -n "s/^[[:space:]]*$1=//p" "$SETTINGS" 2>/dev/null | tail -n 1 | sed 's/[[:space:]]*$//; s/^"\(.*\)"$/\1/; s/^'\''\(.*\)'\''$/\1/')
  printf '%s' "${value:-$2}"
}

# Ready is who says so with a certificate of our own authority.
PROBE='
const [ca, host, port] = process.argv.slice(1)
const end = code => process.exit(code)
const at = { host: host === "::" || host === "0.0.0.0" ? "127.0.0.1" : host, port, path: "/readyz", timeout: 5000 }
try {
  require("node:https")
    .get({ ...at, ca: require("node:fs").readFileSync(ca), checkServerIdentity: () => undefined }, answer => end(answer.statusCode === 200 ? 0 : 1))
    .on("timeout", () => end(1))
    .on("error", () => end(1))
} catch {
  end(1)
}'
is_ready() {
  systemctl is-active --quiet "$NAME" || return 1
  env -i "LD_LIBRARY_PATH=$PREFIX/lib" "$PREFIX/node" -e "$PROBE" "$DATA/ca.pem" "$(setting WEIR_HOST ::)" "$(setting WEIR_PORT 9443)"
}

# Not one that systemd starts again and again.
wait_until_ready() {
  deadline=$(($(date +%s) + UP_WITHIN))
  until is_ready; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    [ "$(systemctl show -p NRestarts --value "$NAME")" -lt 3 ] || return 1
    sleep 0.2
  done
}

why_not_ready() {
  said=$(journalctl -u "$NAME" -n 40 -o cat --no-pager 2>/dev/null | sed -n 's/^weir: //p' | tail -n 1)
  echo "${said:-journalctl -u $NAME says why}"
}

start_controller() {
  systemctl reset-failed "$NAME" 2>/dev/null || true
  systemctl restart "$NAME" || true
}

# By a file that only root and systemd read: no list of processes, no log and no other user sees it.
put_first_password() {
  if has_data || { [ -f "$FIRST" ] && [ -z "$ADMIN_PASSWORD" ]; }; then return 0; fi
  password=${ADMIN_PASSWORD:-$(head -c 15 /dev/urandom | base64 | tr '+/' '-_')}
  case $password in
    *"
"*) fail "WEIR_ADMIN_PASSWORD must be one line" 2 ;;
  esac
  quoted=$(printf '%s' "$password" | sed 's/[\\"$`]/\\&/g')
  (umask 077; printf 'WEIR_ADMIN_PASSWORD="%s"\n' "$quoted" >"$FIRST")
}

first_password() { sed 's/^WEIR_ADMIN_PASSWORD="\(.*\)"$/\1/; s/\\\(.\)/\1/g' "$FIRST"; }

first_start() {
  put_first_password
  systemctl daemon-reload
  systemctl enable --quiet "$NAME"
  start_controller
  wait_until_ready || fail "the controller is installed, but does not come up: $(why_not_ready) (mend it, then: $PREFIX/install.sh setup)"
  host=$(setting WEIR_HOST ::)
  case $host in :: | 0.0.0.0) host=$(uname -n) ;; *:*) host="[$host]" ;; esac
  say up "https://$host:$(setting WEIR_PORT 9443)/, its authority: $DATA/ca.pem"
  [ -f "$FIRST" ] || return 0
  # A first try that did not come up may have made its data with another one.
  if [ "$ADMIN_PASSWORD" = "$(first_password)" ]; then
    say 'sign in' 'admin, with the password that WEIR_ADMIN_PASSWORD says'
  else
    say 'sign in' "admin / $(first_password) (told only now)"
  fi
  rm -f "$FIRST"
}

# One that came up by itself after a first start that failed has not told its password yet.
is_whole() { is_installed && systemctl is-enabled --quiet "$NAME" && is_ready && [ ! -f "$FIRST" ]; }

install_controller() {
  check_host
  [ -z "$PACKAGED" ] || fail "the package manager installed this: $PREFIX/install.sh setup starts it"
  check_source
  if is_installed; then
    is_same || fail "weir-controller $(cat "$PREFIX/VERSION") is installed already: $HERE/install.sh upgrade"
    if is_whole; then
      say installed "weir-controller $(cat "$PREFIX/VERSION") is installed already and up: nothing changed"
      return 0
    fi
  fi
  what="weir-controller $(cat "$HERE/VERSION") in $PREFIX, data in $DATA, user $ACCOUNT, unit $NAME.service"
  if [ -n "$PLAN" ]; then
    say 'would' "install $what, start it and wait until it is ready"
    return 0
  fi
  put_account
  is_installed || put_files
  say installs "$what"
  first_start
}

setup_controller() {
  check_host
  is_installed || fail "nothing is installed here: install comes first"
  if is_whole; then
    say installed "weir-controller $(cat "$PREFIX/VERSION") is up: nothing changed"
    return 0
  fi
  if [ -n "$PLAN" ]; then
    say 'would' "start the weir-controller $(cat "$PREFIX/VERSION") that is in $PREFIX and wait until it is ready"
    return 0
  fi
  first_start
}

upgrade_controller() {
  check_host
  is_installed || fail "nothing is installed here: install comes first"
  [ -z "$PACKAGED" ] || fail "the package manager installed this: give it the newer package of weir-controller"
  check_source
  if is_same; then
    say upgrade "weir-controller $(cat "$PREFIX/VERSION") is what is here: nothing changed"
    return 0
  fi
  change="weir-controller $(cat "$PREFIX/VERSION") to $(cat "$HERE/VERSION")"
  if [ -n "$PLAN" ]; then
    say 'would' "upgrade $change: copy $DATA to $BEFORE, restart $NAME.service, and go back if it is not ready within $UP_WITHIN s"
    return 0
  fi
  rm -rf "$PREFIX.old"
  cp "$UNIT" "$PREFIX/unit"
  put_files
  replace_or_go_back "$change"
  rm -rf "$PREFIX.old"
}

keep_data() {
  rm -rf "$BEFORE"
  trouble=$(cp -a --reflink=auto "$DATA" "$BEFORE" 2>&1) || return 1
  chown 0:0 "$BEFORE"
}

put_back_data() {
  find "$DATA" -mindepth 1 -delete
  find "$BEFORE" -mindepth 1 -maxdepth 1 -exec cp -a {} "$DATA/" \;
}

# The build in place starts when a copy of the data is made; build and data of before come back when it does not come up.
replace_or_go_back() {
  # Whoever is logged out meanwhile finds it done.
  trap '' HUP INT TERM
  systemctl daemon-reload
  systemctl stop "$NAME"
  if keep_data; then
    start_controller
    if wait_until_ready; then
      say upgrade "$1; up; the data of before are in $BEFORE"
      return 0
    fi
    why="the new controller did not come up: $(why_not_ready)"
    systemctl stop "$NAME" || true
    put_back_data
  else
    why="the data could not be copied to $BEFORE: $trouble"
    rm -rf "$BEFORE"
  fi
  rm -rf "$PREFIX"
  mv "$PREFIX.old" "$PREFIX"
  mv "$PREFIX/unit" "$UNIT"
  systemctl daemon-reload
  start_controller
  wait_until_ready || fail "$why; the one before does not come up either: $(why_not_ready)"
  fail "$why; the one before runs again, with its data as they were"
}

remove_controller() {
  check_root
  if [ -n "$PLAN" ]; then
    say 'would' "stop and remove $NAME.service and $PREFIX${PURGE:+, $DATA, $BEFORE, $SETTINGS and user $ACCOUNT}"
    return 0
  fi
  if [ -n "$PACKAGED" ]; then
    trouble=$(drop_package 2>&1) || fail "the package manager could not remove $NAME: $(printf '%s\n' "$trouble" | tail -n 1)"
  elif [ -f "$UNIT" ]; then
    stop_unit
    rm -f "$UNIT"
  fi
  rm -rf "${PREFIX:?}" "$PREFIX.new" "$PREFIX.old" "$FIRST"
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
  if [ -z "$PURGE" ]; then
    say remove "weir-controller is gone from this host; $DATA stays, and with --purge goes as well"
    return 0
  fi
  rm -rf "$DATA" "$BEFORE" "$SETTINGS" "/etc/systemd/system/$NAME.service.d"
  if has_account; then userdel "$ACCOUNT" 2>/dev/null || fail "user $ACCOUNT could not be removed: something runs as it"; fi
  say remove "weir-controller is gone from this host, with its data; engines serve what they were told last"
}

stop_unit() {
  systemctl disable --now --quiet "$NAME" || true
  systemctl reset-failed "$NAME" 2>/dev/null || true
}

is_debian() { have dpkg && dpkg --status "$NAME" >/dev/null 2>&1; }
drop_package() {
  if ! is_debian; then rpm --erase "$NAME"; elif [ -n "$PURGE" ]; then dpkg --purge "$NAME"; else dpkg --remove "$NAME"; fi
}

# What the package's scripts do (../packages): before other files come; a package manager puts files in place of others, never into them,
package_keep() {
  rm -rf "$PREFIX.old"
  cp -al "$PREFIX" "$PREFIX.old"
  cp "$UNIT" "$PREFIX.old/unit"
}

# when they are there; one that was never set up is not started,
package_put() {
  [ -n "$PACKAGED" ] || fail "this is of the package $NAME alone"
  keep_needed_libraries "$PREFIX"
  put_account
  # An image of a host is built without one that runs.
  [ -d /run/systemd/system ] || { rm -rf "$PREFIX.old"; return 0; }
  if [ -d "$PREFIX.old" ] && systemctl is-active --quiet "$NAME"; then
    replace_or_go_back "weir-controller $(cat "$PREFIX.old/VERSION") to $(cat "$PREFIX/VERSION")"
  elif [ ! -d "$PREFIX.old" ] && has_data; then
    first_start
  else
    systemctl daemon-reload
    has_data || say installed "weir-controller $(cat "$PREFIX/VERSION"); next: $PREFIX/install.sh setup"
  fi
  rm -rf "$PREFIX.old"
}

# and before they go. Data stay until the package is purged.
package_drop() {
  if [ -d /run/systemd/system ]; then stop_unit; fi
  rm -rf "${PREFIX:?}/lib" "$PREFIX.old" "$FIRST"
}

verify_controller() {
  check_host
  is_installed || fail "nothing is installed here"
  changed=$(cd "$PREFIX" && sha256sum --check --quiet SHA256SUMS 2>&1) || fail "files were changed: $(printf '%s\n' "$changed" | head -n 1)"
  [ -n "$PACKAGED" ] || [ "$(render_unit "$(systemd_version)")" = "$(cat "$UNIT")" ] ||
    fail "$UNIT was changed: put changes into systemctl edit $NAME"
  systemctl is-enabled --quiet "$NAME" || fail "$NAME.service is not enabled: it would not start at boot"
  is_ready || fail "the controller is not ready: $(why_not_ready)"
  say verify "weir-controller $(cat "$PREFIX/VERSION") is installed, enabled and ready"
}

main() {
  VERB=install PLAN='' PURGE='' ADMIN_PASSWORD=${WEIR_ADMIN_PASSWORD:-}
  unset WEIR_ADMIN_PASSWORD
  while [ $# -gt 0 ]; do
    case $1 in
      install | setup | upgrade | remove | verify | unit) VERB=$1 ;;
      package-keep | package-put | package-drop) VERB=$1 ;;
      --plan) PLAN=1 ;;
      --purge) PURGE=1 ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  if [ -n "$PURGE" ] && [ "$VERB" != remove ]; then usage >&2; exit 2; fi
  case $VERB in
    install) install_controller ;;
    setup) setup_controller ;;
    upgrade) upgrade_controller ;;
    remove) remove_controller ;;
    verify) verify_controller ;;
    unit) render_unit "${WEIR_SYSTEMD:-252}" ;;
    package-keep) package_keep ;;
    package-put) package_put ;;
    package-drop) package_drop ;;
  esac
}

# At the very end: a copy that was cut short runs nothing.
main "$@"
