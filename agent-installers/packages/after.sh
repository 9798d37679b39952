#!/bin/sh
# When the files of @NAME@ are there; what Debian could not do is put back by the same.
set -eu
case ${1:-} in
  configure | abort-upgrade | abort-remove | abort-deconfigure | 1 | 2) @PREFIX@/install.sh package-put ;;
esac
