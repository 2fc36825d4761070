build-san/bin/niks3-server/auth_fail.o: bin/niks3-server/auth_fail.c \
 bin/niks3-server/auth_fail.h bin/niks3-server/../../libcommon/core/err.h \
 bin/niks3-server/../../libcommon/core/../../proto/errors.def
bin/niks3-server/auth_fail.h:
bin/niks3-server/../../libcommon/core/err.h:
bin/niks3-server/../../libcommon/core/../../proto/errors.def:
