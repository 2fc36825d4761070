build-san/tests/unit/claims_test.o: tests/unit/claims_test.c \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../libcommon/oidc/claims.h
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../libcommon/oidc/claims.h:
