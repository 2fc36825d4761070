build-san/libcommon/core/clock.o: libcommon/core/clock.c \
 libcommon/core/clock.h libcommon/core/secret.h
libcommon/core/clock.h:
libcommon/core/secret.h:
