build-san/libcommon/core/err.o: libcommon/core/err.c libcommon/core/err.h \
 libcommon/core/../../proto/errors.def
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
