-- +goose Up

-- Uploads of the compatible API: their clients hold URLs that are good for hours,
-- and write to staging/ instead of the objects themselves.
ALTER TABLE uploads ADD COLUMN staged boolean NOT NULL DEFAULT false;

-- Needed by such an upload, and live, but the bucket was asked and has lost it:
-- the upload may bring it back. The object stays live, so that an upload which is
-- given up leaves everything as it was.
ALTER TABLE upload_needs ADD COLUMN repair boolean NOT NULL DEFAULT false;

-- An empty sha256, in contents and in upload_writes, is one that nobody knows: of
-- large NARs that came in parts.

-- +goose StatementBegin
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_server') THEN
		-- Known only from the narinfo that the client brings.
		GRANT UPDATE (name) ON objects TO niks3_server;
	END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_server') THEN
		REVOKE UPDATE (name) ON objects FROM niks3_server;
	END IF;
END
$$;
-- +goose StatementEnd
ALTER TABLE upload_needs DROP COLUMN repair;
ALTER TABLE uploads DROP COLUMN staged;
