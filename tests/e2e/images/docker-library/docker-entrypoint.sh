#!/bin/sh
# In the manner of docker-library's entrypoints: root mends the owners, then starts itself again.
set -e

if [ "${1#-}" != "$1" ]; then
  set -- redis-server "$@"
fi

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis '{}' +
  exec DROPPER redis "$0" "$@"
fi

if [ "$1" = redis-server ]; then
  umask 0077
fi
exec "$@"
