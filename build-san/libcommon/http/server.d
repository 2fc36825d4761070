build-san/libcommon/http/server.o: libcommon/http/server.c \
 libcommon/http/server.h libcommon/http/../core/buf.h \
 libcommon/http/../core/err.h \
 libcommon/http/../core/../../proto/errors.def \
 libcommon/http/../../proto/bodies.h \
 libcommon/http/../../proto/../libcommon/codec/desc.h \
 libcommon/http/../codec/json.h libcommon/http/../codec/zstream.h \
 libcommon/http/../core/arena.h libcommon/http/../core/file.h \
 libcommon/http/../core/log.h libcommon/http/../core/num.h \
 libcommon/http/../core/queue.h libcommon/http/../core/clock.h \
 libcommon/http/../core/secret.h libcommon/http/conns.h \
 libcommon/http/../core/clock.h libcommon/http/listen.h \
 libcommon/http/park.h libcommon/http/router.h libcommon/http/tls.h
libcommon/http/server.h:
libcommon/http/../core/buf.h:
libcommon/http/../core/err.h:
libcommon/http/../core/../../proto/errors.def:
libcommon/http/../../proto/bodies.h:
libcommon/http/../../proto/../libcommon/codec/desc.h:
libcommon/http/../codec/json.h:
libcommon/http/../codec/zstream.h:
libcommon/http/../core/arena.h:
libcommon/http/../core/file.h:
libcommon/http/../core/log.h:
libcommon/http/../core/num.h:
libcommon/http/../core/queue.h:
libcommon/http/../core/clock.h:
libcommon/http/../core/secret.h:
libcommon/http/conns.h:
libcommon/http/../core/clock.h:
libcommon/http/listen.h:
libcommon/http/park.h:
libcommon/http/router.h:
libcommon/http/tls.h:
