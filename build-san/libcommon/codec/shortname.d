build-san/libcommon/codec/shortname.o: libcommon/codec/shortname.c \
 libcommon/codec/shortname.h libcommon/codec/base64.h \
 libcommon/codec/sha256.h
libcommon/codec/shortname.h:
libcommon/codec/base64.h:
libcommon/codec/sha256.h:
