#!/bin/sh
# Before the files of @NAME@ go and none come instead.
set -eu
case ${1:-} in
  remove | 0) @PREFIX@/install.sh package-drop ;;
esac
