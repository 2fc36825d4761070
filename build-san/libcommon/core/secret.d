build-san/libcommon/core/secret.o: libcommon/core/secret.c \
 libcommon/core/secret.h libcommon/core/err.h \
 libcommon/core/../../proto/errors.def
libcommon/core/secret.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
