build-san/tests/unit/http_authorize_test.o: \
 tests/unit/http_authorize_test.c tests/unit/../../libcommon/core/arena.h \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/core/log.h \
 tests/unit/../../libcommon/http/server.h \
 tests/unit/../../libcommon/http/../core/buf.h \
 tests/unit/../../libcommon/http/../core/err.h
tests/unit/../../libcommon/core/arena.h:
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/core/log.h:
tests/unit/../../libcommon/http/server.h:
tests/unit/../../libcommon/http/../core/buf.h:
tests/unit/../../libcommon/http/../core/err.h:
