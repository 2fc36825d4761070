build-san/bin/niks3-server/auth_mtls.o: bin/niks3-server/auth_mtls.c \
 bin/niks3-server/auth_mtls.h bin/niks3-server/../../libcommon/core/err.h \
 bin/niks3-server/../../libcommon/core/../../proto/errors.def \
 bin/niks3-server/../../libcommon/core/glob.h \
 bin/niks3-server/../../libcommon/http/server.h \
 bin/niks3-server/../../libcommon/http/../core/buf.h \
 bin/niks3-server/../../libcommon/http/../core/err.h \
 bin/niks3-server/../../proto/scopes.h bin/niks3-server/auth.h \
 bin/niks3-server/../../libcommon/core/opt.h
bin/niks3-server/auth_mtls.h:
bin/niks3-server/../../libcommon/core/err.h:
bin/niks3-server/../../libcommon/core/../../proto/errors.def:
bin/niks3-server/../../libcommon/core/glob.h:
bin/niks3-server/../../libcommon/http/server.h:
bin/niks3-server/../../libcommon/http/../core/buf.h:
bin/niks3-server/../../libcommon/http/../core/err.h:
bin/niks3-server/../../proto/scopes.h:
bin/niks3-server/auth.h:
bin/niks3-server/../../libcommon/core/opt.h:
