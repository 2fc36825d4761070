build-san/tests/unit/clock_test.o: tests/unit/clock_test.c \
 tests/unit/../../libcommon/core/clock.h
tests/unit/../../libcommon/core/clock.h:
