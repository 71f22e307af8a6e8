#!/bin/sh
# The role that API and workers use: it may read and write rows, once `fillwright db migrate --role` has said which.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$SERVING_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE fillwright_serving LOGIN PASSWORD :'password';
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SQL
