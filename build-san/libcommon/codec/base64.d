build-san/libcommon/codec/base64.o: libcommon/codec/base64.c \
 libcommon/codec/base64.h libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def
libcommon/codec/base64.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
