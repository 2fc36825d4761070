build-san/tests/unit/jwt_test.o: tests/unit/jwt_test.c \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/oidc/claims.h \
 tests/unit/../../libcommon/oidc/jwt.h tests/unit/jwt_make.h
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/oidc/claims.h:
tests/unit/../../libcommon/oidc/jwt.h:
tests/unit/jwt_make.h:
