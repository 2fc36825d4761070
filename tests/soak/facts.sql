-- What the bucket must hold, as soak_check reads it: one snapshot.
WITH object AS (
	SELECT o.id, o.key, o.kind,
		EXISTS (SELECT FROM pending p WHERE p.object_id = o.id) AS pending,
		EXISTS (SELECT FROM tombstones t WHERE t.object_id = o.id) AS dead,
		EXISTS (SELECT FROM tombstones t WHERE t.object_id = o.id
			AND t.claim IS NOT NULL) AS claimed
	FROM objects o)
SELECT 'closure ' || store_path FROM closures
UNION ALL
-- An object whose last write may not be the last to arrive is written again.
SELECT 'pin ' || name || ' ' || store_path FROM pins
WHERE name NOT IN (SELECT name FROM pin_writes)
UNION ALL
SELECT 'live ' || kind || ' ' || size || ' ' || encode(sha256, 'hex') || ' ' || key
FROM object JOIN contents ON object_id = id WHERE NOT pending AND NOT dead
UNION ALL
SELECT DISTINCT 'need ' || key FROM upload_needs n
JOIN uploads u ON u.id = n.upload_id AND u.state = 'open'
JOIN object o ON o.id = n.object_id AND NOT pending AND NOT claimed
UNION ALL
SELECT 'row ' || key FROM object
UNION ALL
SELECT 'row pins/' || name FROM pins
UNION ALL
SELECT 'row pins/' || name FROM pin_writes;
