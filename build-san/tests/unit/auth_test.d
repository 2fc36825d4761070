build-san/tests/unit/auth_test.o: tests/unit/auth_test.c \
 tests/unit/../../bin/niks3-server/auth.h \
 tests/unit/../../bin/niks3-server/../../libcommon/core/opt.h \
 tests/unit/../../bin/niks3-server/auth_fail.h \
 tests/unit/../../bin/niks3-server/server.h \
 tests/unit/../../bin/niks3-server/../../libcommon/http/server.h \
 tests/unit/../../bin/niks3-server/../../libcommon/http/../core/buf.h \
 tests/unit/../../bin/niks3-server/../../libcommon/http/../core/err.h \
 tests/unit/../../bin/niks3-server/../../libcommon/http/../core/../../proto/errors.def \
 tests/unit/../../bin/niks3-server/../../proto/messages.h \
 tests/unit/../../bin/niks3-server/../../proto/../libcommon/codec/desc.h \
 tests/unit/../../bin/niks3-server/../../proto/roles.def \
 tests/unit/../../bin/niks3-server/../../proto/scopes.h \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/secret.h
tests/unit/../../bin/niks3-server/auth.h:
tests/unit/../../bin/niks3-server/../../libcommon/core/opt.h:
tests/unit/../../bin/niks3-server/auth_fail.h:
tests/unit/../../bin/niks3-server/server.h:
tests/unit/../../bin/niks3-server/../../libcommon/http/server.h:
tests/unit/../../bin/niks3-server/../../libcommon/http/../core/buf.h:
tests/unit/../../bin/niks3-server/../../libcommon/http/../core/err.h:
tests/unit/../../bin/niks3-server/../../libcommon/http/../core/../../proto/errors.def:
tests/unit/../../bin/niks3-server/../../proto/messages.h:
tests/unit/../../bin/niks3-server/../../proto/../libcommon/codec/desc.h:
tests/unit/../../bin/niks3-server/../../proto/roles.def:
tests/unit/../../bin/niks3-server/../../proto/scopes.h:
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/secret.h:
