#!/bin/sh
# The database layer against a real PostgreSQL: tests/integration/db, a file for
# each noun.
. "$(dirname "$0")/lib.sh"
database=niks3-db-live-$(random_hex 4)
postgres_database "$POSTGRES_DIR" "$database" || exit 1
# It breaks the connections of the daemons' roles.
postgres_query "$POSTGRES_DIR" postgres 'grant pg_signal_backend to niks3'
NIKS3_TEST_DB="host=$POSTGRES_DIR user=niks3 dbname=$database"
export NIKS3_TEST_DB
tap_program "$BUILD/tests/db_live"
tap_done
