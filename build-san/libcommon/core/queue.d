build-san/libcommon/core/queue.o: libcommon/core/queue.c \
 libcommon/core/queue.h libcommon/core/clock.h libcommon/core/err.h \
 libcommon/core/../../proto/errors.def
libcommon/core/queue.h:
libcommon/core/clock.h:
libcommon/core/err.h:
libcommon/core/../../proto/errors.def:
