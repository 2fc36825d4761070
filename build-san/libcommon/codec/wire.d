build-san/libcommon/codec/wire.o: libcommon/codec/wire.c \
 libcommon/codec/wire.h libcommon/codec/../core/arena.h \
 libcommon/codec/../core/buf.h libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def libcommon/codec/base64.h \
 libcommon/codec/desc.h
libcommon/codec/wire.h:
libcommon/codec/../core/arena.h:
libcommon/codec/../core/buf.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
libcommon/codec/base64.h:
libcommon/codec/desc.h:
