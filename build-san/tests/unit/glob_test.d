build-san/tests/unit/glob_test.o: tests/unit/glob_test.c \
 tests/unit/../../libcommon/core/glob.h
tests/unit/../../libcommon/core/glob.h:
