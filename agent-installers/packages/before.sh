#!/bin/sh
# Before the files of @NAME@ come. Debian's first word is install or upgrade, RPM's how many will be there: 1 or 2.
set -eu
case ${1:-} in
  upgrade | 2) if [ -f @PREFIX@/packaged ]; then @PREFIX@/install.sh package-keep; fi ;;
  install | 1)
    if [ -e /etc/systemd/system/@NAME@.service ]; then
      echo "@NAME@ is here already, not by a package: @PREFIX@/install.sh remove comes first" >&2
      exit 1
    fi
    ;;
esac
