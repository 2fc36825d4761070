build-san/libcommon/codec/desc.o: libcommon/codec/desc.c \
 libcommon/codec/desc.h libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def \
 libcommon/codec/../core/utf8.h
libcommon/codec/desc.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
libcommon/codec/../core/utf8.h:
