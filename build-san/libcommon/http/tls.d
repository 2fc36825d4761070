build-san/libcommon/http/tls.o: libcommon/http/tls.c libcommon/http/tls.h \
 libcommon/http/../core/buf.h libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def \
 libcommon/http/../core/file.h libcommon/http/../core/secret.h
libcommon/http/tls.h:
libcommon/http/../core/buf.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
libcommon/http/../core/file.h:
libcommon/http/../core/secret.h:
