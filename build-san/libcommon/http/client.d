build-san/libcommon/http/client.o: libcommon/http/client.c \
 libcommon/http/client.h libcommon/http/../core/clock.h \
 libcommon/http/../core/buf.h libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def
libcommon/http/client.h:
libcommon/http/../core/clock.h:
libcommon/http/../core/buf.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
