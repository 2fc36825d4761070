build-san/libcommon/core/service.o: libcommon/core/service.c \
 libcommon/core/service.h libcommon/core/clock.h libcommon/core/err.h \
 libcommon/core/../../proto/errors.def libcommon/core/log.h \
 libcommon/core/num.h libcommon/core/secret.h
libcommon/core/service.h:
libcommon/core/clock.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
libcommon/core/log.h:
libcommon/core/num.h:
libcommon/core/secret.h:
