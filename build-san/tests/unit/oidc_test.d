build-san/tests/unit/oidc_test.o: tests/unit/oidc_test.c \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/http/client.h \
 tests/unit/../../libcommon/http/../core/clock.h \
 tests/unit/../../libcommon/http/server.h \
 tests/unit/../../libcommon/http/../core/buf.h \
 tests/unit/../../libcommon/http/../core/err.h \
 tests/unit/../../libcommon/oidc/oidc.h \
 tests/unit/../../libcommon/oidc/oidc_config.h \
 tests/unit/../../libcommon/oidc/oidc_keys.h \
 tests/unit/../../proto/scopes.h tests/unit/jwt_make.h
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/http/client.h:
tests/unit/../../libcommon/http/../core/clock.h:
tests/unit/../../libcommon/http/server.h:
tests/unit/../../libcommon/http/../core/buf.h:
tests/unit/../../libcommon/http/../core/err.h:
tests/unit/../../libcommon/oidc/oidc.h:
tests/unit/../../libcommon/oidc/oidc_config.h:
tests/unit/../../libcommon/oidc/oidc_keys.h:
tests/unit/../../proto/scopes.h:
tests/unit/jwt_make.h:
