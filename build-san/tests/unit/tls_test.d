build-san/tests/unit/tls_test.o: tests/unit/tls_test.c \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/http/server.h \
 tests/unit/../../libcommon/http/../core/buf.h \
 tests/unit/../../libcommon/http/../core/err.h \
 tests/unit/../../libcommon/http/tls.h
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/http/server.h:
tests/unit/../../libcommon/http/../core/buf.h:
tests/unit/../../libcommon/http/../core/err.h:
tests/unit/../../libcommon/http/tls.h:
