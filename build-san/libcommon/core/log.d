build-san/libcommon/core/log.o: libcommon/core/log.c libcommon/core/log.h \
 libcommon/core/err.h libcommon/core/../../proto/errors.def \
 libcommon/core/utf8.h
libcommon/core/log.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
libcommon/core/utf8.h:
