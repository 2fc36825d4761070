build-san/tests/unit/auth_mtls_test.o: tests/unit/auth_mtls_test.c \
 tests/unit/../../bin/niks3-server/auth.h \
 tests/unit/../../bin/niks3-server/../../libcommon/core/opt.h \
 tests/unit/../../bin/niks3-server/auth_mtls.h \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/http/server.h \
 tests/unit/../../libcommon/http/../core/buf.h \
 tests/unit/../../libcommon/http/../core/err.h \
 tests/unit/../../proto/scopes.h
tests/unit/../../bin/niks3-server/auth.h:
tests/unit/../../bin/niks3-server/../../libcommon/core/opt.h:
tests/unit/../../bin/niks3-server/auth_mtls.h:
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/http/server.h:
tests/unit/../../libcommon/http/../core/buf.h:
tests/unit/../../libcommon/http/../core/err.h:
tests/unit/../../proto/scopes.h:
