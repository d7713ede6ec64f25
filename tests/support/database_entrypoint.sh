#!/bin/sh
# What the official image of PostgreSQL does of its docker-entrypoint.sh, as far as compose.yaml relies on it.
set -eu
data=/var/lib/postgresql/data
if [ "$(id -u)" = 0 ]; then
    mkdir -p $data /var/run/postgresql && chown postgres:postgres $data /var/run/postgresql && chmod 700 $data
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s $data/PG_VERSION ]; then
    initdb --pgdata $data --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" --auth-local trust \
        --auth-host scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-sync
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    pg_ctl --pgdata $data --options "-c listen_addresses=''" --wait start
    for file in /docker-entrypoint-initdb.d/*; do
        if [ -x "$file" ]; then "$file"; else . "$file"; fi
    done
    pg_ctl --pgdata $data --mode fast --wait stop
fi
exec postgres -D $data -c "listen_addresses=*"
