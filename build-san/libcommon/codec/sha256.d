build-san/libcommon/codec/sha256.o: libcommon/codec/sha256.c \
 libcommon/codec/sha256.h libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def
libcommon/codec/sha256.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
