build-san/libcommon/core/opt.o: libcommon/core/opt.c libcommon/core/opt.h \
 libcommon/core/buf.h libcommon/core/err.h \
 libcommon/core/../../proto/errors.def libcommon/core/log.h \
 libcommon/core/num.h libcommon/core/secret.h
libcommon/core/opt.h:
libcommon/core/buf.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
libcommon/core/log.h:
libcommon/core/num.h:
libcommon/core/secret.h:
