#include "sandbox.h"

#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/db/db.h"

void
migrate_sandbox(struct sandbox *s, const char *conninfo, const char *migrations)
{
	sandbox_init(s, "niks3-migrate");
	db_needs(conninfo, s);
	sandbox_read(s, migrations);
}
