#!/usr/bin/env bash
# What PostgreSQL's container does once, when its volume is new: makes the gateways' user and their database.  The user is
# no superuser; pg_monitor lets it see whether standbys are waited for.
set -euo pipefail
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set password `cat /run/secrets/database_password`
CREATE ROLE ec_gateway LOGIN PASSWORD :'password';
GRANT pg_monitor TO ec_gateway;
CREATE DATABASE ec_gateway OWNER ec_gateway TEMPLATE template0 ENCODING 'UTF8';
SQL
