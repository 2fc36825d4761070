#!/bin/sh
# What the graph of all objects tells, against a real PostgreSQL:
# tests/integration/graph_live.c and graph_random.c.
. "$(dirname "$0")/lib.sh"
for program in graph_live graph_random; do
	database=niks3-$program-$(random_hex 4)
	postgres_database "$POSTGRES_DIR" "$database" || exit 1
	NIKS3_TEST_DB="host=$POSTGRES_DIR user=niks3 dbname=$database"
	export NIKS3_TEST_DB
	tap_program "$BUILD/tests/$program"
done
tap_done
