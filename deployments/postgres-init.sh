#!/bin/sh
# Run once by the PostgreSQL image on an empty volume: a role and a database each for Prefect and for softlaunch.
set -eu
make() {
    psql --username postgres --set ON_ERROR_STOP=1 --set name="$1" --set password="$(cat "/run/secrets/$1_database_password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}
make prefect
make softlaunch
