build-san/libcommon/core/num.o: libcommon/core/num.c libcommon/core/num.h \
 libcommon/core/err.h libcommon/core/../../proto/errors.def
libcommon/core/num.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
