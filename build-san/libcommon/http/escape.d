build-san/libcommon/http/escape.o: libcommon/http/escape.c \
 libcommon/http/client.h libcommon/http/../core/clock.h \
 libcommon/http/../core/buf.h
libcommon/http/client.h:
libcommon/http/../core/clock.h:
libcommon/http/../core/buf.h:
