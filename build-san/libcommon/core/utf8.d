build-san/libcommon/core/utf8.o: libcommon/core/utf8.c \
 libcommon/core/utf8.h
libcommon/core/utf8.h:
