build-san/libcommon/codec/json.o: libcommon/codec/json.c \
 libcommon/codec/json.h libcommon/codec/../core/arena.h \
 libcommon/codec/../core/buf.h libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def \
 libcommon/codec/../core/utf8.h libcommon/codec/base64.h \
 libcommon/codec/desc.h
libcommon/codec/json.h:
libcommon/codec/../core/arena.h:
libcommon/codec/../core/buf.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
libcommon/codec/../core/utf8.h:
libcommon/codec/base64.h:
libcommon/codec/desc.h:
