#!/bin/bash
# In the manner of docker-library's postgres: root makes and mends the directories and starts itself
# again as postgres, who makes the database.
set -Eeo pipefail

directories() {
  mkdir -p "$PGDATA"
  chmod 00700 "$PGDATA" || :
  mkdir -p /var/run/postgresql || :
  chmod 03775 /var/run/postgresql || :
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
  fi
}

database() {
  initdb --username=postgres --pwfile=<(printf '%s\n' secret) --auth-local=trust --no-sync
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  psql -v ON_ERROR_STOP=1 --username=postgres --no-psqlrc \
    -c "CREATE TABLE made AS SELECT 'by the entrypoint' AS how"
  pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:0:1}" = - ]; then
  set -- postgres "$@"
fi

echo "entrypoint as $(id -u)"
if [ "$1" = postgres ]; then
  directories
  if [ "$(id -u)" = 0 ]; then
    exec gosu postgres "${BASH_SOURCE[0]}" "$@"
  fi
  [ -s "$PGDATA/PG_VERSION" ] || database
fi
exec "$@"
