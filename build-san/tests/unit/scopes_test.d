build-san/tests/unit/scopes_test.o: tests/unit/scopes_test.c \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def \
 tests/unit/../../proto/scopes.h
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
tests/unit/../../proto/scopes.h:
