-- +goose Up

-- Build logs and realisations that came later than the path they belong to used
-- to hang on the root they were pushed with; they hang on the path itself now,
-- and what no path names on the root's narinfo.
UPDATE upload_needs n
SET refs = ARRAY(SELECT DISTINCT r FROM unnest(n.refs || u.extra) r
	WHERE r <> n.object_id ORDER BY r)
FROM upload_roots u
WHERE u.upload_id = n.upload_id AND u.object_id = n.object_id
	AND u.extra <> '{}';
UPDATE objects o
SET refs = ARRAY(SELECT DISTINCT r FROM unnest(o.refs || c.extra) r
	WHERE r <> o.id ORDER BY r)
FROM closures c WHERE c.object_id = o.id AND c.extra <> '{}';
DROP INDEX closures_extra;
ALTER TABLE upload_roots DROP COLUMN extra;
ALTER TABLE closures DROP COLUMN extra;

-- A narinfo to which things hang that may be newer than itself.
ALTER TABLE upload_needs ADD COLUMN attach boolean NOT NULL DEFAULT false;
UPDATE upload_needs n SET attach = true
WHERE EXISTS (SELECT FROM unnest(n.refs) r JOIN objects a ON a.id = r
	WHERE a.kind NOT IN (1, 2));

-- Pages of closures, the oldest first: those of one push have the same time.
DROP INDEX closures_updated_at;
CREATE INDEX closures_updated_at ON closures (updated_at, object_id);

-- What a closure holds, counted when it was pushed last: null until then.
ALTER TABLE closures ADD COLUMN objects bigint;
ALTER TABLE closures ADD COLUMN bytes bigint;

-- Of a narinfo that the bucket may hold, or get: the upload that is writing it, or
-- 0. auth_until is when its writes are surely over, also those whose answer was
-- lost.
ALTER TABLE pending ADD COLUMN writer bigint;
UPDATE pending p SET writer = 0
WHERE EXISTS (SELECT FROM objects o WHERE o.id = p.object_id AND o.kind = 1);
CREATE INDEX pending_written ON pending (object_id) WHERE writer IS NOT NULL;

-- Deletes go through the tombstones once for each rank, in the order of the
-- primary key: one index less to write for every tombstone. claimed_at stays
-- when S3 refused: what such a narinfo names must not be deleted either.
DROP INDEX tombstones_due;
DROP INDEX tombstones_claim;
CREATE INDEX tombstones_claimed ON tombstones (claimed_at)
	WHERE claimed_at IS NOT NULL;

ALTER TABLE gc_runs
	ADD COLUMN kind text NOT NULL DEFAULT 'collect'
		CHECK (kind IN ('collect', 'dry-run', 'delete')),
	-- Of 'delete': the key of the narinfo whose closure goes, and whether
	-- its objects go at once.
	ADD COLUMN target text,
	ADD COLUMN at_once boolean NOT NULL DEFAULT false,
	-- Per cent of the live objects; null is the worker's own setting.
	ADD COLUMN max_share smallint CHECK (max_share BETWEEN 0 AND 100),
	ADD COLUMN error_kind text,
	ADD COLUMN error_hint text,
	-- What the run found: all live objects, and what no root needs.
	ADD COLUMN objects_live bigint NOT NULL DEFAULT 0,
	ADD COLUMN objects_garbage bigint NOT NULL DEFAULT 0,
	ADD COLUMN bytes_garbage bigint NOT NULL DEFAULT 0,
	-- Of a dry run: tombstones of earlier runs that would be deleted now.
	ADD COLUMN objects_due bigint NOT NULL DEFAULT 0,
	ADD COLUMN bytes_due bigint NOT NULL DEFAULT 0;

-- Of a dry run: what would go with each root. Each object is counted once, with
-- the oldest of the roots that need it; object_id 0 is what no root needs now.
CREATE TABLE gc_run_roots (
	run_id     bigint NOT NULL,
	object_id  bigint NOT NULL,
	store_path text NOT NULL,
	updated_at timestamptz,
	objects    bigint NOT NULL,
	bytes      bigint NOT NULL,
	PRIMARY KEY (run_id, object_id)
);

-- Vacuumed when a twentieth has changed, not a fifth: a large collection leaves
-- that many dead rows, and what comes after should find their place.
ALTER TABLE objects SET (autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE contents SET (autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE tombstones SET (autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE pending SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE upload_needs SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE upload_paths SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE upload_writes SET (autovacuum_vacuum_scale_factor = 0.05);

-- +goose StatementBegin
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_server') THEN
		GRANT SELECT ON gc_run_roots TO niks3_server;
	END IF;
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_gc') THEN
		GRANT SELECT, INSERT, DELETE ON gc_run_roots TO niks3_gc;
		GRANT DELETE ON gc_runs TO niks3_gc;
		-- To lock rows in order, which asks for UPDATE on some column.
		GRANT UPDATE (seq) ON closures TO niks3_gc;
	END IF;
END
$$;
-- +goose StatementEnd
-- A worker vacuums what it emptied. Before PostgreSQL 17 only the owner may do
-- that, and the daemon of PostgreSQL does it instead.
-- +goose StatementBegin
DO $$
BEGIN
	IF current_setting('server_version_num')::int >= 170000
	    AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_gc') THEN
		EXECUTE 'GRANT MAINTAIN ON objects, contents, tombstones, pending,'
		    ' upload_needs, upload_paths, upload_writes TO niks3_gc';
	END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE gc_run_roots;
DELETE FROM gc_runs WHERE kind <> 'collect';
ALTER TABLE gc_runs DROP COLUMN kind, DROP COLUMN target, DROP COLUMN at_once,
	DROP COLUMN max_share, DROP COLUMN error_kind, DROP COLUMN error_hint,
	DROP COLUMN objects_live, DROP COLUMN objects_garbage,
	DROP COLUMN bytes_garbage, DROP COLUMN objects_due,
	DROP COLUMN bytes_due;
ALTER TABLE objects RESET (autovacuum_vacuum_scale_factor,
	autovacuum_analyze_scale_factor);
ALTER TABLE contents RESET (autovacuum_vacuum_scale_factor,
	autovacuum_analyze_scale_factor);
ALTER TABLE tombstones RESET (autovacuum_vacuum_scale_factor,
	autovacuum_analyze_scale_factor);
ALTER TABLE pending RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE upload_needs RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE upload_paths RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE upload_writes RESET (autovacuum_vacuum_scale_factor);
DROP INDEX tombstones_claimed;
CREATE INDEX tombstones_claim ON tombstones (claim) WHERE claim IS NOT NULL;
CREATE INDEX tombstones_due ON tombstones (rank, object_id) WHERE claim IS NULL;
ALTER TABLE pending DROP COLUMN writer;
DROP INDEX closures_updated_at;
CREATE INDEX closures_updated_at ON closures (updated_at);
ALTER TABLE upload_needs DROP COLUMN attach;
ALTER TABLE closures DROP COLUMN objects, DROP COLUMN bytes;
ALTER TABLE upload_roots ADD COLUMN extra bigint[] NOT NULL DEFAULT '{}';
ALTER TABLE closures ADD COLUMN extra bigint[] NOT NULL DEFAULT '{}';
CREATE INDEX closures_extra ON closures USING gin (extra) WHERE extra <> '{}';
-- +goose StatementBegin
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_gc') THEN
		REVOKE DELETE ON gc_runs FROM niks3_gc;
		REVOKE UPDATE (seq) ON closures FROM niks3_gc;
		IF current_setting('server_version_num')::int >= 170000 THEN
			EXECUTE 'REVOKE MAINTAIN ON objects, contents, tombstones,'
			    ' pending, upload_needs, upload_paths, upload_writes'
			    ' FROM niks3_gc';
		END IF;
	END IF;
END
$$;
-- +goose StatementEnd
