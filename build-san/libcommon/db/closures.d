build-san/libcommon/db/closures.o: libcommon/db/closures.c \
 libcommon/db/closures.h libcommon/db/../core/arena.h \
 libcommon/db/db_internal.h /usr/include/postgresql/libpq-fe.h \
 /usr/include/postgresql/postgres_ext.h \
 /usr/include/postgresql/pg_config_ext.h libcommon/db/../core/buf.h \
 libcommon/db/../core/clock.h libcommon/db/../core/err.h \
 libcommon/db/../core/../../proto/errors.def libcommon/db/db.h
libcommon/db/closures.h:
libcommon/db/../core/arena.h:
libcommon/db/db_internal.h:
/usr/include/postgresql/libpq-fe.h:
/usr/include/postgresql/postgres_ext.h:
/usr/include/postgresql/pg_config_ext.h:
libcommon/db/../core/buf.h:
libcommon/db/../core/clock.h:
libcommon/db/../core/err.h:
libcommon/db/../core/../../proto/errors.def:
libcommon/db/db.h:
