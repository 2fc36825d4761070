build-san/bin/niks3/credential.o: bin/niks3/credential.c \
 bin/niks3/credential.h bin/niks3/../../libcommon/core/clock.h \
 bin/niks3/../../libcommon/codec/jsonscan.h \
 bin/niks3/../../libcommon/core/arena.h \
 bin/niks3/../../libcommon/core/buf.h \
 bin/niks3/../../libcommon/core/err.h \
 bin/niks3/../../libcommon/core/../../proto/errors.def \
 bin/niks3/../../libcommon/core/secret.h bin/niks3/remote.h \
 bin/niks3/../../libcommon/core/opt.h bin/niks3/shellwords.h \
 bin/niks3/spawn.h
bin/niks3/credential.h:
bin/niks3/../../libcommon/core/clock.h:
bin/niks3/../../libcommon/codec/jsonscan.h:
bin/niks3/../../libcommon/core/arena.h:
bin/niks3/../../libcommon/core/buf.h:
bin/niks3/../../libcommon/core/err.h:
bin/niks3/../../libcommon/core/../../proto/errors.def:
bin/niks3/../../libcommon/core/secret.h:
bin/niks3/remote.h:
bin/niks3/../../libcommon/core/opt.h:
bin/niks3/shellwords.h:
bin/niks3/spawn.h:
