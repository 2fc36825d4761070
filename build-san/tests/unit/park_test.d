build-san/tests/unit/park_test.o: tests/unit/park_test.c \
 tests/unit/../../libcommon/http/park.h
tests/unit/../../libcommon/http/park.h:
