-- I4, from what audit.sql wrote down. Prints what is not so.
SELECT 'I4 ' || what || ': ' || coalesce(key, '?') || ', by ' || who || ' at ' || at
FROM soak.odd
UNION ALL
-- What was tombstoned waits for the grace of the run, unless it was to go at once.
SELECT 'I4 ' || c.key || ' was claimed ' || (c.claimed_at - c.first_at)
	|| ' after its tombstone by run ' || c.run || ', whose grace is '
	|| coalesce(r.pending_older_than::text, 'unknown')
FROM soak.claims c LEFT JOIN gc_runs r ON r.id = c.run
WHERE NOT c.fresh AND NOT coalesce(r.force OR r.at_once, false)
AND (r.id IS NULL OR c.claimed_at - c.first_at < r.pending_older_than)
UNION ALL
-- No delete reaches S3 but while its key is claimed, however late it is.
SELECT 'I4 ' || d.key || ' was deleted at ' || to_timestamp(d.at)
	|| ' without a claim'
FROM soak.deletes d
WHERE d.key NOT LIKE 'pins/%'
AND NOT EXISTS (SELECT FROM soak.claims c WHERE c.key = d.key
	AND c.claimed_at <= to_timestamp(d.at)
	AND coalesce(c.released_at, 'infinity') >= to_timestamp(d.at));
