build-san/bin/niks3/shellwords.o: bin/niks3/shellwords.c \
 bin/niks3/shellwords.h bin/niks3/../../libcommon/core/arena.h \
 bin/niks3/../../libcommon/core/err.h \
 bin/niks3/../../libcommon/core/../../proto/errors.def
bin/niks3/shellwords.h:
bin/niks3/../../libcommon/core/arena.h:
bin/niks3/../../libcommon/core/err.h:
bin/niks3/../../libcommon/core/../../proto/errors.def:
