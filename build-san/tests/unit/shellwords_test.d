build-san/tests/unit/shellwords_test.o: tests/unit/shellwords_test.c \
 tests/unit/../../bin/niks3/shellwords.h \
 tests/unit/../../libcommon/core/arena.h \
 tests/unit/../../libcommon/core/err.h \
 tests/unit/../../libcommon/core/../../proto/errors.def
tests/unit/../../bin/niks3/shellwords.h:
tests/unit/../../libcommon/core/arena.h:
tests/unit/../../libcommon/core/err.h:
tests/unit/../../libcommon/core/../../proto/errors.def:
