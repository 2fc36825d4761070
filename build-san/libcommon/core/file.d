build-san/libcommon/core/file.o: libcommon/core/file.c \
 libcommon/core/file.h libcommon/core/buf.h libcommon/core/err.h \
 libcommon/core/../../proto/errors.def
libcommon/core/file.h:
libcommon/core/buf.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
