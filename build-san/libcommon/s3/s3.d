build-san/libcommon/s3/s3.o: libcommon/s3/s3.c libcommon/s3/s3_internal.h \
 libcommon/s3/../core/buf.h libcommon/s3/../core/clock.h \
 libcommon/s3/../core/secret.h libcommon/s3/../http/client.h \
 libcommon/s3/../http/../core/clock.h libcommon/s3/s3.h \
 libcommon/s3/../codec/base64.h libcommon/s3/../codec/sha256.h \
 libcommon/s3/../core/arena.h libcommon/s3/../core/err.h \
 libcommon/s3/../core/../../proto/errors.def libcommon/s3/../core/num.h \
 libcommon/s3/../nix/objkey.h libcommon/s3/sigv4.h
libcommon/s3/s3_internal.h:
libcommon/s3/../core/buf.h:
libcommon/s3/../core/clock.h:
libcommon/s3/../core/secret.h:
libcommon/s3/../http/client.h:
libcommon/s3/../http/../core/clock.h:
libcommon/s3/s3.h:
libcommon/s3/../codec/base64.h:
libcommon/s3/../codec/sha256.h:
libcommon/s3/../core/arena.h:
libcommon/s3/../core/err.h:
libcommon/s3/../core/../../proto/errors.def:
libcommon/s3/../core/num.h:
libcommon/s3/../nix/objkey.h:
libcommon/s3/sigv4.h:
