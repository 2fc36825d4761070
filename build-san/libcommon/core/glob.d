build-san/libcommon/core/glob.o: libcommon/core/glob.c \
 libcommon/core/glob.h
libcommon/core/glob.h:
