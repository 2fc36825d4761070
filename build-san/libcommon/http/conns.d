build-san/libcommon/http/conns.o: libcommon/http/conns.c \
 libcommon/http/conns.h libcommon/http/../core/clock.h \
 libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def
libcommon/http/conns.h:
libcommon/http/../core/clock.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
