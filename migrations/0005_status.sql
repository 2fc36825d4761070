-- +goose Up

-- How large the cache was, an hour a row: what operators want to see drawn.
CREATE TABLE cache_sizes (
	at      timestamptz PRIMARY KEY,
	objects bigint NOT NULL,
	bytes   bigint NOT NULL
);

-- The largest closures, without looking at all.
CREATE INDEX closures_bytes ON closures (bytes) WHERE bytes IS NOT NULL;

-- +goose StatementBegin
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_server') THEN
		GRANT SELECT, INSERT, UPDATE, DELETE ON cache_sizes
			TO niks3_server;
	END IF;
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_gc') THEN
		GRANT SELECT ON cache_sizes TO niks3_gc;
	END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX closures_bytes;
DROP TABLE cache_sizes;
