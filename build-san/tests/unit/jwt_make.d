build-san/tests/unit/jwt_make.o: tests/unit/jwt_make.c \
 tests/unit/jwt_make.h
tests/unit/jwt_make.h:
