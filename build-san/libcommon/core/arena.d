build-san/libcommon/core/arena.o: libcommon/core/arena.c \
 libcommon/core/arena.h libcommon/core/err.h \
 libcommon/core/../../proto/errors.def
libcommon/core/arena.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
