#!/bin/sh
# What PostgreSQL's image runs when its data directory is new (docker-entrypoint-initdb.d): database, roles, passwords.
# The same script as on servers makes the roles; their passwords come from secrets. Environment: NAME, POSTGRES_USER.
set -eu
sql=/usr/local/share/slipway
psql="psql --no-psqlrc --username ${POSTGRES_USER:-postgres} --dbname postgres"

$psql --file "$sql/roles.sql" --set "name=$NAME"
for suffix in '' _owner _reader; do
    PASSWORD_FILE=/run/secrets/database${suffix}_password $psql --quiet --file "$sql/passwords.sql" --set "role=$NAME$suffix"
done
