#!/bin/sh
# When the files of @NAME@ are gone. Data and user go with purge, which RPM does not know: there `install.sh remove` does it.
set -eu
case ${1:-} in
  remove | 0) if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi ;;
  purge)
    rm -rf @PREFIX@ @DATA@ @SETTINGS@
    set -- @UNITS@
    for unit; do rm -rf "/etc/systemd/system/$unit.d"; done
    if getent passwd @ACCOUNT@ >/dev/null; then userdel @ACCOUNT@ 2>/dev/null || echo "user @ACCOUNT@ could not be removed: something runs as it" >&2; fi
    ;;
esac
