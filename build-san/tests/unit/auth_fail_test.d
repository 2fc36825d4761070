build-san/tests/unit/auth_fail_test.o: tests/unit/auth_fail_test.c \
 tests/unit/../../bin/niks3-server/auth_fail.h
tests/unit/../../bin/niks3-server/auth_fail.h:
