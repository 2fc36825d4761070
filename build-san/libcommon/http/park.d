build-san/libcommon/http/park.o: libcommon/http/park.c \
 libcommon/http/park.h libcommon/http/../core/clock.h \
 libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def
libcommon/http/park.h:
libcommon/http/../core/clock.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
