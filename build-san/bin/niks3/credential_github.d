build-san/bin/niks3/credential_github.o: bin/niks3/credential_github.c \
 bin/niks3/../../libcommon/codec/base64.h \
 bin/niks3/../../libcommon/codec/json.h \
 bin/niks3/../../libcommon/codec/jsonscan.h \
 bin/niks3/../../libcommon/core/arena.h \
 bin/niks3/../../libcommon/core/buf.h \
 bin/niks3/../../libcommon/core/err.h \
 bin/niks3/../../libcommon/core/../../proto/errors.def \
 bin/niks3/../../libcommon/core/num.h \
 bin/niks3/../../libcommon/http/client.h \
 bin/niks3/../../libcommon/http/../core/clock.h \
 bin/niks3/../../proto/bodies.h \
 bin/niks3/../../proto/../libcommon/codec/desc.h bin/niks3/credential.h \
 bin/niks3/../../libcommon/core/clock.h bin/niks3/remote.h \
 bin/niks3/../../libcommon/core/opt.h \
 bin/niks3/../../libcommon/core/secret.h
bin/niks3/../../libcommon/codec/base64.h:
bin/niks3/../../libcommon/codec/json.h:
bin/niks3/../../libcommon/codec/jsonscan.h:
bin/niks3/../../libcommon/core/arena.h:
bin/niks3/../../libcommon/core/buf.h:
bin/niks3/../../libcommon/core/err.h:
bin/niks3/../../libcommon/core/../../proto/errors.def:
bin/niks3/../../libcommon/core/num.h:
bin/niks3/../../libcommon/http/client.h:
bin/niks3/../../libcommon/http/../core/clock.h:
bin/niks3/../../proto/bodies.h:
bin/niks3/../../proto/../libcommon/codec/desc.h:
bin/niks3/credential.h:
bin/niks3/../../libcommon/core/clock.h:
bin/niks3/remote.h:
bin/niks3/../../libcommon/core/opt.h:
bin/niks3/../../libcommon/core/secret.h:
