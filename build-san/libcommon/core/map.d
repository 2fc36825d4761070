build-san/libcommon/core/map.o: libcommon/core/map.c libcommon/core/map.h \
 libcommon/core/err.h libcommon/core/../../proto/errors.def \
 libcommon/core/secret.h
libcommon/core/map.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
libcommon/core/secret.h:
