build-san/bin/niks3/spawn.o: bin/niks3/spawn.c bin/niks3/spawn.h \
 bin/niks3/../../libcommon/core/clock.h \
 bin/niks3/../../libcommon/core/buf.h \
 bin/niks3/../../libcommon/core/err.h \
 bin/niks3/../../libcommon/core/../../proto/errors.def \
 bin/niks3/../../libcommon/core/file.h
bin/niks3/spawn.h:
bin/niks3/../../libcommon/core/clock.h:
bin/niks3/../../libcommon/core/buf.h:
bin/niks3/../../libcommon/core/err.h:
bin/niks3/../../libcommon/core/../../proto/errors.def:
bin/niks3/../../libcommon/core/file.h:
