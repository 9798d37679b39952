#!/bin/sh
# Says in one line what the pinned Node lacks on this host, or installs it where it may.
set -eu
node=$1
[ -x "$node" ] || { echo "weir: no Node for this machine in node_modules ($(uname -s) $(uname -m)): Linux on x86_64 or aarch64 is needed" >&2; exit 2; }
if "$node" --version >/dev/null 2>&1; then exit 0; fi
if "$node" --version 2>&1 | grep -q libatomic; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends libatomic1; } >/dev/null 2>&1 && "$node" --version >/dev/null 2>&1 && exit 0
  fi
  echo "weir: libatomic.so.1 is missing: apt-get install libatomic1" >&2
  exit 2
fi
"$node" --version >&2 || true
echo "weir: the pinned Node does not start on this machine" >&2
exit 2
