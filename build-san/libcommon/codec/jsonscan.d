build-san/libcommon/codec/jsonscan.o: libcommon/codec/jsonscan.c \
 libcommon/codec/jsonscan.h libcommon/codec/../core/err.h \
 libcommon/codec/../core/../../proto/errors.def libcommon/codec/json.h
libcommon/codec/jsonscan.h:
libcommon/codec/../core/err.h:
libcommon/codec/../core/../../proto/errors.def:
libcommon/codec/json.h:
