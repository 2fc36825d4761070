build-san/tests/unit/shortname_test.o: tests/unit/shortname_test.c \
 tests/unit/../../libcommon/codec/shortname.h
tests/unit/../../libcommon/codec/shortname.h:
