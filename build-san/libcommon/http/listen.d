build-san/libcommon/http/listen.o: libcommon/http/listen.c \
 libcommon/http/listen.h libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def \
 libcommon/http/../core/num.h
libcommon/http/listen.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
libcommon/http/../core/num.h:
