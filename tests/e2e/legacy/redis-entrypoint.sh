#!/bin/sh
# In the manner of docker-library's redis: root mends the owners, then starts itself again.
set -e

if [ "${1#-}" != "$1" ]; then
  set -- redis-server "$@"
fi

echo "entrypoint as $(id -u)"
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis '{}' +
  exec gosu redis "$0" "$@"
fi

if [ "$(umask)" = 0022 ]; then
  umask 0077
fi
exec "$@"
