build-san/libcommon/http/router.o: libcommon/http/router.c \
 libcommon/http/router.h libcommon/http/server.h \
 libcommon/http/../core/buf.h libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def \
 libcommon/http/../core/arena.h libcommon/http/../core/utf8.h
libcommon/http/router.h:
libcommon/http/server.h:
libcommon/http/../core/buf.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
libcommon/http/../core/arena.h:
libcommon/http/../core/utf8.h:
