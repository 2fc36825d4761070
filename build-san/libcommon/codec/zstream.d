build-san/libcommon/codec/zstream.o: libcommon/codec/zstream.c \
 libcommon/codec/zstream.h libcommon/codec/../core/buf.h \
 libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def
libcommon/codec/zstream.h:
libcommon/codec/../core/buf.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
