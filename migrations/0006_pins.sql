-- +goose Up

-- Objects pins/NAME that were written or deleted not long ago: a write of which the
-- answer was lost may yet arrive, and the writer may have died before it wrote. When
-- that must be over, the object is written once more as the pin is then.
CREATE TABLE pin_writes (
	name  text COLLATE "C" PRIMARY KEY,
	until timestamptz NOT NULL
);

-- +goose StatementBegin
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_server') THEN
		GRANT SELECT, INSERT, UPDATE ON pin_writes TO niks3_server;
	END IF;
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'niks3_gc') THEN
		GRANT SELECT, UPDATE, DELETE ON pin_writes TO niks3_gc;
	END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE pin_writes;
