#!/bin/sh
# Makes a Linux host with systemd a Weir service engine. The controller serves this file; its dashboard shows the command:
#   curl -fsSLk --pinnedpubkey PIN https://HOST:9443/install.sh | sh -s -- --controller https://HOST:9443 --pin PIN --token T
# Verbs: install (default) upgrade remove verify unit; on a host that has the package: join. Each is safe to repeat; --plan says
# what it would do and does nothing.
set -eu
umask 022

PREFIX=/opt/weir
DATA=/var/lib/weir
ACCOUNT=weir
UNITS=/etc/systemd/system
# Put here by the package of Debian or RPM: what the host's own folders hold belongs to the package manager then.
PACKAGED=''
[ ! -f "$PREFIX/packaged" ] || PACKAGED=1 UNITS=/usr/lib/systemd/system
UNIT=$UNITS/weir-engine.service
SOCKET=/run/weir-kernel.sock
ORDERS=/run/weir-upgrade.sock
# What ran before the last upgrade, whole: the way back.
BEFORE=$PREFIX.before
SYSCTL=/etc/sysctl.d/60-weir.conf
MIGRATE=/proc/sys/net/ipv4/tcp_migrate_req
# Seconds until the controller must have called the engine up.
UP_WITHIN=${WEIR_UP_WITHIN:-20}

say() { printf '%-11s%s\n' "$1" "$2"; }
fail() { printf 'weir: %s\n' "$1" >&2; exit "${2:-1}"; }
have() { command -v "$1" >/dev/null 2>&1; }

usage() {
  cat <<'END'
usage: install.sh [install|join|upgrade|remove|verify|unit|put-units] [--plan] [--digest SHA256]
                  [--controller https://HOST:PORT] [--pin 'sha256//...'] [--token T | WEIR_TOKEN=T]
END
}

# The unit for a version of systemd: what an older one does not know it would complain about at each start.
render_unit() {
  cat <<END
[Unit]
Description=Weir service engine
After=network-online.target weir-kernel.socket weir-upgrade.socket
Wants=network-online.target weir-kernel.socket weir-upgrade.socket
StartLimitIntervalSec=0

[Service]
Type=exec
User=$ACCOUNT
Group=$ACCOUNT
ExecStart=$PREFIX/weir-engine run
# Starts another process, which takes over the ports and is the service from then on; it says so to systemd itself.
ExecReload=$PREFIX/weir-engine reload
NotifyAccess=all
Environment=LD_LIBRARY_PATH=$PREFIX/lib WEIR_DATA=$DATA WEIR_KERNEL_SOCKET=$SOCKET WEIR_UPGRADE_SOCKET=$ORDERS
StateDirectory=weir
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

# Ports below 1024, nothing else. V8 compiles at run time: MemoryDenyWriteExecute is not possible.
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
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

# Where the engine asks for what needs CAP_NET_ADMIN; systemd starts a process for each connection and tells it whose it is.
render_socket() {
  cat <<END
[Unit]
Description=Weir service engine: orders for the kernel
PartOf=weir-engine.service
StartLimitIntervalSec=0

[Socket]
ListenStream=$SOCKET
SocketUser=$ACCOUNT
SocketGroup=$ACCOUNT
SocketMode=0600
Accept=yes
MaxConnections=4
RemoveOnStop=yes
END
}

# Lives as long as its connection: until the engine needs it no more, stops or dies.
render_kernel() {
  cat <<END
[Unit]
Description=Weir service engine: forwarding in the kernel
CollectMode=inactive-or-failed

[Service]
Type=exec
DynamicUser=yes
ExecStart=$PREFIX/weir-engine kernel-peer $SOCKET %i
Environment=LD_LIBRARY_PATH=$PREFIX/lib
StandardInput=socket
StandardOutput=socket
StandardError=journal
UMask=0077
# It ends by itself when the engine has let its clients finish.
TimeoutStopSec=40s
LimitCORE=0

# To program nftables and conntrack and to hold addresses, nothing else.
CapabilityBoundingSet=CAP_NET_ADMIN
AmbientCapabilities=CAP_NET_ADMIN
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
# For ip_nonlocal_bind.
ReadWritePaths=/proc/sys/net
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
END
}

# Where the engine hands in what its controller orders: it cannot change its own program. One at a time.
render_orders() {
  cat <<END
[Unit]
Description=Weir service engine: orders to change its program
StartLimitIntervalSec=0

[Socket]
ListenStream=$ORDERS
SocketUser=$ACCOUNT
SocketGroup=$ACCOUNT
SocketMode=0600
Accept=yes
MaxConnections=1
RemoveOnStop=yes
END
}

# Root, because it puts files and units in place; it believes nothing but the signature of the controller that this host was installed from.
render_upgrade() {
  cat <<END
[Unit]
Description=Weir service engine: changes its program
CollectMode=inactive-or-failed

[Service]
Type=exec
ExecStart=$PREFIX/install.sh carry-out
StandardInput=socket
StandardOutput=socket
StandardError=journal
RuntimeMaxSec=900
LimitCORE=0

NoNewPrivileges=yes
ProtectSystem=full
ReadWritePaths=/etc/systemd/system -/etc/sysctl.d
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
END
}

# Calls $1 with every unit: its file name, then what prints it.
each_unit() {
  "$1" weir-engine.service render_unit "$(systemd_version)"
  "$1" weir-kernel.socket render_socket
  "$1" weir-kernel@.service render_kernel
  "$1" weir-upgrade.socket render_orders
  "$1" weir-upgrade@.service render_upgrade
}
write_unit() { unit=$1; shift; "$@" >"$UNITS/$unit"; }
# The script of a version that does not know the socket does not start it, and the engine looks for it as it starts.
put_units() {
  each_unit write_unit
  systemctl daemon-reload
  systemctl start weir-upgrade.socket || true
}
check_unit() {
  unit=$1
  shift
  [ "$("$@")" = "$(cat "$UNITS/$unit" 2>/dev/null)" ] ||
    fail "$UNITS/$unit was changed: put changes into systemctl edit $unit, then run upgrade"
}
keep_unit() { if [ -f "$UNITS/$1" ]; then cp "$UNITS/$1" "$old/units/"; fi; }
put_back_unit() { if [ -f "$PREFIX/units/$1" ]; then mv "$PREFIX/units/$1" "$UNITS/$1"; else rm -f "$UNITS/$1"; fi; }
drop_unit() { rm -rf "${UNITS:?}/$1" "/etc/systemd/system/$1.d"; }

systemd_version() { systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }
glibc_version() { { getconf GNU_LIBC_VERSION 2>/dev/null || true; } | sed -n 's/^glibc //p'; }

# Is glibc $1 2.28 or newer?
is_new_enough() {
  major=${1%%.*} minor=${1#*.}
  [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "${minor%%.*}" -ge 28 ]; }
}

engine_arch() {
  case $(uname -m) in
    x86_64) echo x64 ;;
    aarch64) echo arm64 ;;
    *) fail "there is no engine for $(uname -m): x86_64 and aarch64 are known" ;;
  esac
}

check_host() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s): an engine needs Linux"
  [ "$(id -u)" = 0 ] || fail "must run as root: put sudo before sh"
  [ -d /run/systemd/system ] || fail "this host does not run systemd: use the container instead (Fabric -> Add an engine -> container)"
  tools='curl tar gzip sha256sum useradd'
  [ -z "$PACKAGED" ] || tools=useradd
  for tool in $tools; do have "$tool" || fail "$tool is missing on this host: install it and run this again"; done
  arch=$(engine_arch)
  glibc=$(glibc_version)
  [ -n "$glibc" ] || fail "this host has no glibc (musl?): use the container instead (Fabric -> Add an engine -> container)"
  is_new_enough "$glibc" || fail "glibc $glibc is too old: 2.28 or newer is needed (Debian 10, RHEL 8, Ubuntu 18.10)"
}

# Ports that services want most and that somebody else listens on already.
taken_ports() {
  for port in 0050 01BB; do
    if cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ":$port [0-9A-F]*:0000 0A "; then printf ' %d' "0x$port"; fi
  done
}

is_installed() { [ -x "$PREFIX/weir-engine" ] && [ -f "$UNIT" ]; }
has_account() { getent passwd "$ACCOUNT" >/dev/null 2>&1; }
digest_of() { sed -n "s/^\([0-9a-f]\{64\}\)  $2\$/\1/p" "$1"; }

# The engine under its own account, with nothing of the caller's environment but what is named here.
as_engine() {
  set -- env -i PATH=/usr/bin:/bin "LD_LIBRARY_PATH=$PREFIX/lib" "WEIR_DATA=$DATA" "$PREFIX/weir-engine" "$@"
  if have runuser; then runuser -u "$ACCOUNT" -- "$@"; else setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --clear-groups -- "$@"; fi
}

# Fetches $1 from the controller into the file $2; says what to do when that fails.
fetch() {
  trouble=$(curl -fsSkv --pinnedpubkey "$PIN" --connect-timeout 5 --max-time 300 --proto '=https' -o "$2" "$CONTROLLER$1" 2>&1) && return 0
  code=$?
  at=${CONTROLLER#https://}
  case $code in
    6) fail "cannot find the controller: the name ${at%:*} does not resolve on this host" ;;
    7)
      why='no route'
      case $trouble in *'onnection refused'*) why='connection refused' ;; esac
      fail "cannot reach controller at $at ($why): is port ${at##*:} open from this host?"
      ;;
    28)
      case $trouble in *'esolving timed out'*) fail "cannot find the controller: nothing resolves the name ${at%:*} on this host" ;; esac
      fail "cannot reach controller at $at (no answer in time): is port ${at##*:} open from this host?"
      ;;
    90) fail "the controller at $at does not show the key that this command was made for: make a new command there; if it fails too, somebody may stand in between" ;;
    22)
      case $trouble in
        *' 503'* | *' 404'*) fail "the controller at $at has no engine to give out: run 'make package' there" ;;
      esac
      ;;
  esac
  fail "cannot fetch $CONTROLLER$1 (curl says $code): $(printf '%s\n' "$trouble" | grep -i '^curl:' | tail -n 1)"
}

check_origin() {
  case $CONTROLLER in
    https://*[!A-Za-z0-9.:_/\[\]-]* | https:// | '') fail "--controller https://HOST:PORT is missing or is no such address" 2 ;;
    https://*) CONTROLLER=${CONTROLLER%/} ;;
    *) fail "--controller must begin with https://" 2 ;;
  esac
  case $CONTROLLER in
    https://*:[0-9]* | https://*]:[0-9]*) ;;
    *) CONTROLLER=$CONTROLLER:9443 ;;
  esac
  case $PIN in
    sha256//?*) ;;
    # What is fetched is checked by it; here nothing is, and the token knows the controller's authority.
    '') [ -n "$PACKAGED" ] || fail "--pin 'sha256//...' is missing: the controller's dashboard shows the whole command" 2 ;;
    *) fail "--pin 'sha256//...' is missing: the controller's dashboard shows the whole command" 2 ;;
  esac
}

# What an earlier install wrote down; options given now count more.
read_origin() {
  [ -f "$PREFIX/origin" ] || return 0
  : "${CONTROLLER:=$(sed -n 's/^controller=//p' "$PREFIX/origin")}"
  : "${PIN:=$(sed -n 's/^pin=//p' "$PREFIX/origin")}"
}

# Downloads and unpacks the engine into the folder $1; the checksum tells a broken download.
download() {
  archive=weir-engine-linux-$arch.tar.gz
  mkdir -p "$1"
  fetch /install/SHA256SUMS "$1/SHA256SUMS"
  [ -n "$(digest_of "$1/SHA256SUMS" "$archive")" ] || fail "the controller at ${CONTROLLER#https://} has no engine for linux-$arch: run 'make package' on such a machine"
  fetch /install/VERSION "$1/VERSION"
  fetch /install/install.sh "$1/install.sh"
  fetch "/install/$archive" "$1/$archive"
  for file in "$archive" VERSION install.sh; do
    want=$(digest_of "$1/SHA256SUMS" "$file")
    got=$(sha256sum "$1/$file")
    if [ -z "$want" ] || [ "${got%% *}" != "$want" ]; then fail "$file came broken: its checksum differs; run this again"; fi
  done
  tar -xzf "$1/$archive" -C "$1" --no-same-owner
  digest_of "$1/SHA256SUMS" "$archive" >"$1/digest"
  rm "$1/$archive"
  chmod 755 "$1/weir-engine" "$1/install.sh"
  mv "$1/lib" "$1/shipped"
  keep_needed_libraries "$1"
  rm -rf "${1:?}/shipped"
}

# The host's own libraries are newer or better tested: of ours only those are taken that it lacks.
keep_needed_libraries() {
  rm -rf "${1:?}/lib"
  mkdir "$1/lib"
  until trouble=$(env -i "LD_LIBRARY_PATH=$1/lib" "$1/weir-engine" version 2>&1); do
    library=$(printf '%s\n' "$trouble" | sed -n 's/.*: \(lib[A-Za-z0-9_.+-]*\): cannot open shared object.*/\1/p')
    if [ -z "$library" ] || ! [ -f "$1/shipped/$library" ]; then fail "the engine does not start on this host: $trouble"; fi
    cp -p "$1/shipped/$library" "$1/lib/"
  done
}

put_files() {
  mkdir -p "$PREFIX"
  for name in weir-engine lib VERSION install.sh digest; do
    rm -rf "${PREFIX:?}/$name"
    mv "$1/$name" "$PREFIX/$name"
  done
  rm -rf "$1"
  put_origin
  # By the script that came with the engine: an upgrade is run by the one before.
  "$PREFIX/install.sh" put-units
}

put_origin() { printf 'controller=%s\npin=%s\n' "$CONTROLLER" "$PIN" >"$PREFIX/origin"; }

put_account() {
  has_account || useradd --system --user-group --no-create-home --home-dir "$DATA" --shell /usr/sbin/nologin "$ACCOUNT"
  install -d -m 700 -o "$ACCOUNT" -g "$ACCOUNT" "$DATA"
}

# A listener that closes hands its queued connections to those that stay on the port, instead of resetting them.
put_sysctl() {
  [ -e "$MIGRATE" ] || return 0
  [ -f "$PREFIX/migrate-before" ] || cat "$MIGRATE" >"$PREFIX/migrate-before"
  [ -n "$PACKAGED" ] || echo 'net.ipv4.tcp_migrate_req = 1' >"$SYSCTL"
  { echo 1 >"$MIGRATE"; } 2>/dev/null || true
}

put_back_sysctl() {
  if [ -f "$PREFIX/migrate-before" ]; then { cat "$PREFIX/migrate-before" >"$MIGRATE"; } 2>/dev/null || true; fi
}

# No request fails when a process takes over; an engine that cannot be taken over from yet is restarted. Fails: the old one runs on.
replace_engine() {
  if systemctl is-active --quiet weir-engine && [ -S "$DATA/handover.sock" ]; then systemctl reload weir-engine; else systemctl restart weir-engine; fi
}

is_up() { as_engine status >/dev/null 2>&1; }

wait_until_up() {
  deadline=$(($(date +%s) + UP_WITHIN))
  until is_up; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

why_not_up() {
  systemctl is-active --quiet weir-engine || { echo "the unit does not run: journalctl -u weir-engine says why"; return; }
  port=$(sed -n 's/.*"enginePort": *\([0-9]*\).*/\1/p' "$DATA/identity.json" 2>/dev/null || true)
  echo "$(as_engine status 2>&1 | tail -n 1); is the controller's port ${port:-for engines} open from this host?"
}

install_engine() {
  check_host
  read_origin
  if is_installed && [ -f "$PREFIX/joined" ] && systemctl is-enabled --quiet weir-engine; then
    if [ -n "$ASKED_CONTROLLER" ] && [ "$ASKED_CONTROLLER" != "$(sed -n 's/^controller=//p' "$PREFIX/origin")" ]; then
      fail "this host is joined to $(sed -n 's/^controller=//p' "$PREFIX/origin") already: $PREFIX/install.sh remove comes first"
    fi
    say joined "already joined: $(cat "$PREFIX/joined"); nothing changed (upgrade: $PREFIX/install.sh upgrade)"
    [ -n "$PLAN" ] || is_up || fail "but it is not up: $(why_not_up) (to join anew: $PREFIX/install.sh remove, then this command with a new token)"
    return 0
  fi
  if [ -n "$PACKAGED" ]; then
    check_origin
    check_token
    if [ -n "$PLAN" ]; then
      say 'would' "join $CONTROLLER with the weir-engine $(cat "$PREFIX/VERSION") of the package, start weir-engine.service and wait until it is up"
      return 0
    fi
    put_origin
    join_and_start
    return 0
  fi
  [ "$VERB" = install ] || fail "the package weir-engine is not installed here: install does without it"
  check_origin
  check_token
  parent=$(dirname "$PREFIX")
  mkdir -p "$parent"
  fresh=$(mktemp -d "$parent/.weir.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  trap 'exit 130' HUP INT TERM
  fetch /install/VERSION "$fresh/VERSION"
  ports=$(taken_ports)
  if [ -n "$ports" ]; then ports="in use already: port$ports"; else ports="ports 80 and 443 are free"; fi
  say checks "linux $(uname -r) $(uname -m), glibc $glibc, systemd $(systemd_version); ${CONTROLLER#https://} shows the pinned key; $ports"
  version=$(cat "$fresh/VERSION")
  what="weir-engine $version in $PREFIX, data in $DATA, user $ACCOUNT, unit weir-engine.service"
  if [ -n "$PLAN" ]; then
    say 'would' "install $what"
    say 'would' "set net.ipv4.tcp_migrate_req=1, join $CONTROLLER, start weir-engine.service and wait until it is up"
    return 0
  fi
  download "$fresh"
  put_account
  put_files "$fresh"
  put_sysctl
  say installs "$what"
  join_and_start
}

check_token() {
  [ -n "$TOKEN" ] || fail "--token is missing: the controller's dashboard makes one (Fabric -> Add an engine)" 2
}

join_and_start() {
  as_engine_joins || exit 1
  say joins "$(cat "$PREFIX/joined")"
  # Reads the new unit as well.
  systemctl enable --quiet weir-engine
  systemctl restart weir-engine
  wait_until_up || fail "joined, but not up: $(why_not_up)"
  say up "the controller says OPER_UP"
  say 'look at' "$CONTROLLER/fabric"
}

# The token goes in by standard input: it is in no command line and in no environment that outlives this.
as_engine_joins() {
  if ! answer=$(printf '%s\n' "$TOKEN" | as_engine join --controller "$CONTROLLER" 2>&1); then
    printf 'weir: cannot join %s: %s\n' "$CONTROLLER" "$(printf '%s\n' "$answer" | sed '$!d; s/^weir-engine: //')" >&2
    return 1
  fi
  printf '%s\n' "$answer" | grep -e ' in group ' -e ', which joined before' >"$PREFIX/joined"
}

keep_old() {
  cp -a "$PREFIX" "$old"
  mkdir "$old/units"
  each_unit keep_unit
}

upgrade_engine() {
  check_host
  is_installed || fail "nothing is installed here: install comes first"
  [ -z "$PACKAGED" ] || fail "the package manager installed this: give it the newer package of weir-engine, which upgrades without a failed request"
  read_origin
  check_origin
  parent=$(dirname "$PREFIX")
  fresh=$(mktemp -d "$parent/.weir.XXXXXX")
  old=$fresh.old
  trap 'rm -rf "$fresh" "$old"' EXIT
  trap 'exit 130' HUP INT TERM
  want=${DIGEST:-$(given_out)}
  if [ "$want" = "$(cat "$PREFIX/digest")" ]; then
    which='what the controller gives out'
    [ -z "$DIGEST" ] || which='the build that was asked for'
    say upgrade "weir-engine $(cat "$PREFIX/VERSION") is $which: nothing changed"
    return 0
  fi
  if [ "$want" = "$(cat "$BEFORE/digest" 2>/dev/null)" ]; then
    obtain=take_before
    cp "$BEFORE/VERSION" "$fresh/VERSION"
  else
    obtain=download
    [ "$want" = "$(given_out)" ] || fail "the build $want is not what the controller gives out, nor what ran here before"
    fetch /install/VERSION "$fresh/VERSION"
  fi
  change="weir-engine $(cat "$PREFIX/VERSION") to $(cat "$fresh/VERSION")"
  if [ -n "$PLAN" ]; then
    say 'would' "upgrade $change, reload weir-engine.service, and go back if it is not up within $UP_WITHIN s"
    return 0
  fi
  "$obtain" "$fresh"
  keep_old
  put_files "$fresh"
  put_sysctl
  replace_or_go_back "$change" wait_until_up
  rm -rf "$BEFORE"
  mv "$old" "$BEFORE"
}

# The digest of what the controller gives out for this machine.
given_out() {
  fetch /install/SHA256SUMS "$fresh/SHA256SUMS"
  digest_of "$fresh/SHA256SUMS" "weir-engine-linux-$arch.tar.gz"
}

take_before() { for name in weir-engine lib VERSION install.sh digest; do rm -rf "${1:?}/$name"; cp -a "$BEFORE/$name" "$1/"; done; }

# An order of the controller, a line that the engine hands in. It is checked before anything is done; what becomes of it lies in the file
# 'order', which the engine reads. One that was carried out is not carried out again, nor one that is older.
carry_out() {
  [ "$(id -u)" = 0 ] || fail "must run as root"
  read_origin
  IFS= read -r line || true
  engine=$(sed -n 's/.*"engineId": *"\([^"]*\)".*/\1/p' "$DATA/identity.json")
  if ! checked=$(printf '%s\n' "$line" | env -i "LD_LIBRARY_PATH=$PREFIX/lib" "$PREFIX/weir-engine" check-order "$PIN" "$engine" 2>&1); then
    reason=$(printf '%s\n' "$checked" | sed '$!d; s/^weir-engine: //')
    printf 'the host refuses the order: %s\n' "$reason"
    fail "an order was refused: $reason"
  fi
  # id, when it was issued, build
  # shellcheck disable=SC2046
  set -- $(printf '%s\n' "$checked" | tail -n 1)
  [ $# = 3 ] || fail "an order could not be read"
  last=$(cut -d ' ' -f 2 "$PREFIX/order" 2>/dev/null || true)
  [ "$2" -gt "${last:-0}" ] || return 0
  outcome='done' tries=10
  until said=$("$PREFIX/install.sh" upgrade --digest "$3" 2>&1 </dev/null); do
    tries=$((tries - 1))
    # Nothing is touched before all is fetched; a controller that is restarted comes back.
    case $tries,$said in
      0,*) ;;
      *'cannot reach controller'* | *'cannot fetch'* | *'came broken'*) sleep 3; continue ;;
    esac
    outcome=failed
    break
  done
  printf '%s %s %s %s\n' "$1" "$2" "$outcome" "$(printf '%s\n' "$said" | tail -n 1 | sed 's/^weir: //; s/^upgrade *//' | cut -c 1-900)" >"$PREFIX/order.new"
  mv "$PREFIX/order.new" "$PREFIX/order"
}

# The engine that is in place takes over from the one that runs; what is in $old comes back when it does not, or $2 fails.
replace_or_go_back() {
  systemctl daemon-reload
  # Taking over starts no unit that the engine wants.
  systemctl start weir-kernel.socket || true
  if replace_engine 2>/dev/null; then
    if "$2"; then
      say upgrade "$1; up"
      return 0
    fi
    why=$(why_not_up)
    after=replaced
  else
    why='it could not take over: journalctl -u weir-engine says why'
    after=untouched
  fi
  for socket in weir-kernel.socket weir-upgrade.socket; do [ -f "$old/units/$socket" ] || systemctl stop "$socket" 2>/dev/null || true; done
  rm -rf "$PREFIX"
  mv "$old" "$PREFIX"
  each_unit put_back_unit
  rm -rf "$PREFIX/units"
  systemctl daemon-reload
  [ "$after" = replaced ] || fail "the new engine was not taken ($why): the old one runs on"
  replace_engine 2>/dev/null || systemctl restart weir-engine
  fail "the new engine was not up within $UP_WITHIN s ($why): the old one runs again"
}

remove_engine() {
  [ "$(id -u)" = 0 ] || fail "must run as root: put sudo before sh"
  if ! [ -e "$PREFIX" ] && ! [ -e "$UNIT" ] && ! [ -e "$DATA" ] && ! has_account; then
    say remove "nothing of Weir is installed here: nothing changed"
    return 0
  fi
  if [ -n "$PLAN" ]; then
    say 'would' "stop and remove weir-engine.service, $PREFIX, $DATA, $SYSCTL and user $ACCOUNT"
    return 0
  fi
  if [ -n "$PACKAGED" ]; then
    trouble=$(drop_package 2>&1) || fail "the package manager could not remove weir-engine: $(printf '%s\n' "$trouble" | tail -n 1)"
  fi
  if [ -f "$UNIT" ]; then stop_units; fi
  put_back_sysctl
  each_unit drop_unit
  rm -rf "$SYSCTL" "$DATA" "${PREFIX:?}" "${BEFORE:?}"
  systemctl daemon-reload
  if has_account; then userdel "$ACCOUNT" 2>/dev/null || fail "user $ACCOUNT could not be removed: something runs as it"; fi
  say remove "weir-engine is gone from this host; the controller lists it until you delete it there"
}

stop_units() {
  systemctl disable --now --quiet weir-engine || true
  systemctl stop weir-kernel.socket weir-upgrade.socket 'weir-kernel@*.service' 2>/dev/null || true
  systemctl reset-failed weir-engine 2>/dev/null || true
}

is_debian() { have dpkg && dpkg --status weir-engine >/dev/null 2>&1; }
drop_package() { if is_debian; then dpkg --purge weir-engine; else rpm --erase weir-engine; fi; }
changed_files() { if is_debian; then dpkg --verify weir-engine; else rpm --verify --nodeps weir-engine; fi || true; }

# What the package's scripts do (../packages): before other files come,
package_keep() {
  old=$PREFIX.old
  rm -rf "$old"
  keep_old
}

# when they are there; an engine that has not joined is not started,
package_put() {
  [ -n "$PACKAGED" ] || fail "this is of the package weir-engine alone"
  old=$PREFIX.old
  keep_needed_libraries "$PREFIX"
  put_account
  put_sysctl
  # An image of a host is built without one that runs.
  [ -d /run/systemd/system ] || { rm -rf "$old"; return 0; }
  if [ -d "$old" ]; then
    fact=true
    # One that was not up, as while its controller is away, need not be so after.
    if is_up; then fact=wait_until_up; fi
    if systemctl is-active --quiet weir-engine; then
      replace_or_go_back "weir-engine $(cat "$old/VERSION") to $(cat "$PREFIX/VERSION")" "$fact"
    else
      systemctl daemon-reload
    fi
    rm -rf "$old"
  elif [ -f "$DATA/identity.json" ]; then
    systemctl daemon-reload
    systemctl enable --quiet weir-engine
    systemctl restart weir-engine
  else
    systemctl daemon-reload
    say installed "weir-engine $(cat "$PREFIX/VERSION"); next: $PREFIX/install.sh join --controller ... --token ... (dashboard: Fabric -> Add an engine)"
  fi
}

# and before they go. Identity and data stay until the package is purged.
package_drop() {
  if [ -d /run/systemd/system ]; then stop_units; fi
  put_back_sysctl
  rm -rf "${PREFIX:?}/lib" "$PREFIX/migrate-before" "$PREFIX.old"
}

verify_engine() {
  check_host
  is_installed || fail "nothing is installed here"
  trouble=$(env -i "LD_LIBRARY_PATH=$PREFIX/lib" "$PREFIX/weir-engine" version 2>&1) || fail "the engine does not start: $trouble"
  if [ -n "$PACKAGED" ]; then
    changed=$(changed_files)
    [ -z "$changed" ] || fail "files of the package were changed: $changed"
  else
    each_unit check_unit
  fi
  systemctl is-enabled --quiet weir-engine || fail "weir-engine.service is not enabled: it would not start at boot"
  is_up || fail "$(why_not_up)"
  say verify "weir-engine $(cat "$PREFIX/VERSION") is installed, enabled and up; $(cat "$PREFIX/joined")"
}

main() {
  VERB=install CONTROLLER='' PIN='' PLAN='' DIGEST='' TOKEN=${WEIR_TOKEN:-}
  unset WEIR_TOKEN
  while [ $# -gt 0 ]; do
    case $1 in
      install | join | upgrade | remove | verify | unit | kernel-socket | kernel-unit | put-units) VERB=$1 ;;
      upgrade-socket | upgrade-unit | carry-out) VERB=$1 ;;
      package-keep | package-put | package-drop) VERB=$1 ;;
      --controller | --pin | --token | --digest)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        case $1 in
          --controller) CONTROLLER=$2 ;;
          --pin) PIN=$2 ;;
          --token) TOKEN=$2 ;;
          --digest) DIGEST=$2 ;;
        esac
        shift
        ;;
      --plan) PLAN=1 ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  ASKED_CONTROLLER=${CONTROLLER%/}
  case $VERB in
    install | join) install_engine ;;
    upgrade) upgrade_engine ;;
    remove) remove_engine ;;
    verify) verify_engine ;;
    unit) render_unit "${WEIR_SYSTEMD:-252}" ;;
    kernel-socket) render_socket ;;
    kernel-unit) render_kernel ;;
    upgrade-socket) render_orders ;;
    upgrade-unit) render_upgrade ;;
    carry-out) carry_out ;;
    put-units) put_units ;;
    package-keep) package_keep ;;
    package-put) package_put ;;
    package-drop) package_drop ;;
  esac
}

# At the very end: a download that was cut short runs nothing.
main "$@"
