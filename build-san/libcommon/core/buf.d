build-san/libcommon/core/buf.o: libcommon/core/buf.c libcommon/core/buf.h \
 libcommon/core/err.h libcommon/core/../../proto/errors.def
libcommon/core/buf.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
