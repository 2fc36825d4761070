build-san/libcommon/db/db.o: libcommon/db/db.c libcommon/db/db.h \
 libcommon/db/../core/clock.h libcommon/db/../core/map.h \
 libcommon/db/../core/secret.h libcommon/db/db_internal.h \
 /usr/include/postgresql/libpq-fe.h \
 /usr/include/postgresql/postgres_ext.h \
 /usr/include/postgresql/pg_config_ext.h libcommon/db/../core/buf.h \
 libcommon/db/../core/err.h libcommon/db/../core/../../proto/errors.def \
 libcommon/db/migrate.h
libcommon/db/db.h:
libcommon/db/../core/clock.h:
libcommon/db/../core/map.h:
libcommon/db/../core/secret.h:
libcommon/db/db_internal.h:
/usr/include/postgresql/libpq-fe.h:
/usr/include/postgresql/postgres_ext.h:
/usr/include/postgresql/pg_config_ext.h:
libcommon/db/../core/buf.h:
libcommon/db/../core/err.h:
libcommon/db/../core/../../proto/errors.def:
libcommon/db/migrate.h:
