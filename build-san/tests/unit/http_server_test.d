build-san/tests/unit/http_server_test.o: tests/unit/http_server_test.c \
 tests/unit/../../libcommon/codec/zstream.h \
 tests/unit/../../libcommon/core/arena.h \
 tests/unit/../../libcommon/core/clock.h \
 tests/unit/../../libcommon/core/log.h \
 tests/unit/../../libcommon/http/client.h \
 tests/unit/../../libcommon/http/../core/clock.h \
 tests/unit/../../libcommon/http/server.h \
 tests/unit/../../libcommon/http/../core/buf.h \
 tests/unit/../../libcommon/http/../core/err.h \
 tests/unit/../../libcommon/http/../core/../../proto/errors.def
tests/unit/../../libcommon/codec/zstream.h:
tests/unit/../../libcommon/core/arena.h:
tests/unit/../../libcommon/core/clock.h:
tests/unit/../../libcommon/core/log.h:
tests/unit/../../libcommon/http/client.h:
tests/unit/../../libcommon/http/../core/clock.h:
tests/unit/../../libcommon/http/server.h:
tests/unit/../../libcommon/http/../core/buf.h:
tests/unit/../../libcommon/http/../core/err.h:
tests/unit/../../libcommon/http/../core/../../proto/errors.def:
