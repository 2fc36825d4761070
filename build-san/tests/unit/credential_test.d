build-san/tests/unit/credential_test.o: tests/unit/credential_test.c \
 tests/unit/../../bin/niks3/credential.h \
 tests/unit/../../bin/niks3/../../libcommon/core/clock.h \
 tests/unit/../../bin/niks3/remote.h \
 tests/unit/../../bin/niks3/../../libcommon/core/opt.h \
 tests/unit/../../bin/niks3/../../libcommon/core/secret.h \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/core/secret.h \
 tests/unit/../../libcommon/http/client.h \
 tests/unit/../../libcommon/http/../core/clock.h \
 tests/unit/../../libcommon/http/server.h \
 tests/unit/../../libcommon/http/../core/buf.h \
 tests/unit/../../libcommon/http/../core/err.h tests/unit/jwt_make.h
tests/unit/../../bin/niks3/credential.h:
tests/unit/../../bin/niks3/../../libcommon/core/clock.h:
tests/unit/../../bin/niks3/remote.h:
tests/unit/../../bin/niks3/../../libcommon/core/opt.h:
tests/unit/../../bin/niks3/../../libcommon/core/secret.h:
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/core/secret.h:
tests/unit/../../libcommon/http/client.h:
tests/unit/../../libcommon/http/../core/clock.h:
tests/unit/../../libcommon/http/server.h:
tests/unit/../../libcommon/http/../core/buf.h:
tests/unit/../../libcommon/http/../core/err.h:
tests/unit/jwt_make.h:
