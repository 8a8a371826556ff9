#!/bin/sh
# An entrypoint that many images have in one form or another.
set -eu
if [ "$(id -u)" -ne 0 ]; then
  echo "this must be run as root" >&2
  exit 1
fi
mkdir -p "$1"
chown root:root "$1"
exec python3 -m http.server 80 --directory "$1"
