-- Fills an empty database with the variable "paths" of store paths, three objects
-- each, as a cache of closures that were pushed one after the other. For psql.
--
-- Path i is narinfo 3i + 1, NAR 3i + 2 and listing 3i + 3. A closure is 100
-- paths, of which the last is the root. Within it the references form a tree,
-- four to a path, so that the root reaches all, with four more across. Eight lead
-- to earlier closures, and more often to the earliest: one in five to the first
-- hundredth of all paths; path 0, the C library, is everybody's.
--
-- Three closures of ten are too old to be kept: what kept ones refer to is kept,
-- so these are garbage to the last object: 30 %.
\set ON_ERROR_STOP 1
\o /dev/null
\set old 'interval \'60 days\''
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';
SET work_mem = '64MB';
SELECT setseed(0.5);

CREATE FUNCTION expired(path bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$ SELECT path / 100 % 10 IN (3, 6, 9) $$;
CREATE FUNCTION nix32(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT translate(md5(i::text), 'e', 'g') $$;

-- Indexes are made last: those of random keys would take longer otherwise.
ALTER TABLE objects DROP CONSTRAINT objects_pkey, DROP CONSTRAINT objects_key_key;
ALTER TABLE contents DROP CONSTRAINT contents_pkey;

BEGIN;
INSERT INTO objects (id, key, kind, name, refs, nar_size)
SELECT 3 * i + k.kind,
	CASE k.kind WHEN 1 THEN nix32(i) || '.narinfo'
	WHEN 2 THEN 'nar/' || nix32(i) || left(nix32(-i - 1), 20) || '.nar.zst'
	ELSE nix32(i) || '.ls' END,
	k.kind,
	CASE k.kind WHEN 1 THEN 'package-' || i || '-1.0' END,
	CASE k.kind WHEN 1 THEN ARRAY(
		SELECT 3 * i + k.kind + 1 UNION SELECT 3 * i + k.kind + 2
		UNION SELECT 1 WHERE i > 0
		UNION SELECT 3 * (top - child) + 1
		FROM generate_series(4 * (top - i) + 1, 4 * (top - i) + 4) child
		WHERE child < 100
		UNION SELECT 3 * (first + floor(random() * (i - first))::bigint) + 1
		FROM generate_series(1, 4) WHERE i > first
		UNION SELECT 3 * CASE WHEN expired(at) AND NOT expired(i)
			THEN at - 100 ELSE at END + 1
		FROM (SELECT floor(first * random() ^ 3)::bigint AS at
			FROM generate_series(1, 8)) earlier
		WHERE first > 0
		ORDER BY 1) ELSE '{}' END,
	CASE k.kind WHEN 2 THEN 1000000 END
FROM generate_series(0, :paths::bigint - 1) i,
	LATERAL (SELECT i / 100 * 100 AS first,
		least(i / 100 * 100 + 100, :paths) - 1 AS top) b,
	generate_series(1, 3) k (kind);

INSERT INTO contents (object_id, size, sha256, stored_at)
SELECT i, 1000 + i % 100000, sha256(int8send(i)), now() - interval '90 days'
FROM generate_series(1, 3 * :paths::bigint) i;

INSERT INTO stat_deltas (objects, bytes)
SELECT count(*), sum(size) FROM contents;

INSERT INTO closures (object_id, store_path, created_at, updated_at)
SELECT 3 * top + 1, '/nix/store/' || nix32(top) || '-package-' || top || '-1.0',
	now() - interval '90 days',
	now() - CASE WHEN expired(top) THEN :old ELSE interval '1 day' END
FROM (SELECT least(first + 100, :paths) - 1 AS top
	FROM generate_series(0, :paths::bigint - 1, 100) first) b;
COMMIT;

ALTER TABLE objects ADD PRIMARY KEY (id), ADD UNIQUE (key);
ALTER TABLE contents ADD PRIMARY KEY (object_id);
SELECT setval('objects_id_seq', 3 * :paths);
DROP FUNCTION expired, nix32;
VACUUM (ANALYZE) objects, contents, closures;
CHECKPOINT;
