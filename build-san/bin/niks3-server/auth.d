build-san/bin/niks3-server/auth.o: bin/niks3-server/auth.c \
 bin/niks3-server/auth.h bin/niks3-server/../../libcommon/core/opt.h \
 bin/niks3-server/../../libcommon/codec/sha256.h \
 bin/niks3-server/../../libcommon/codec/shortname.h \
 bin/niks3-server/../../libcommon/core/clock.h \
 bin/niks3-server/../../libcommon/core/err.h \
 bin/niks3-server/../../libcommon/core/../../proto/errors.def \
 bin/niks3-server/../../libcommon/core/log.h \
 bin/niks3-server/../../libcommon/core/secret.h \
 bin/niks3-server/../../libcommon/db/db.h \
 bin/niks3-server/../../libcommon/db/../core/clock.h \
 bin/niks3-server/../../libcommon/db/tokens.h \
 bin/niks3-server/../../libcommon/db/../codec/sha256.h \
 bin/niks3-server/../../libcommon/http/server.h \
 bin/niks3-server/../../libcommon/http/../core/buf.h \
 bin/niks3-server/../../libcommon/http/../core/err.h \
 bin/niks3-server/../../libcommon/oidc/jwt.h \
 bin/niks3-server/../../libcommon/oidc/oidc.h \
 bin/niks3-server/../../libcommon/oidc/oidc_config.h \
 bin/niks3-server/auth_cache.h bin/niks3-server/auth_fail.h \
 bin/niks3-server/auth_mtls.h bin/niks3-server/server.h \
 bin/niks3-server/../../proto/messages.h \
 bin/niks3-server/../../proto/../libcommon/codec/desc.h \
 bin/niks3-server/../../proto/roles.def \
 bin/niks3-server/../../proto/scopes.h
bin/niks3-server/auth.h:
bin/niks3-server/../../libcommon/core/opt.h:
bin/niks3-server/../../libcommon/codec/sha256.h:
bin/niks3-server/../../libcommon/codec/shortname.h:
bin/niks3-server/../../libcommon/core/clock.h:
bin/niks3-server/../../libcommon/core/err.h:
bin/niks3-server/../../libcommon/core/../../proto/errors.def:
bin/niks3-server/../../libcommon/core/log.h:
bin/niks3-server/../../libcommon/core/secret.h:
bin/niks3-server/../../libcommon/db/db.h:
bin/niks3-server/../../libcommon/db/../core/clock.h:
bin/niks3-server/../../libcommon/db/tokens.h:
bin/niks3-server/../../libcommon/db/../codec/sha256.h:
bin/niks3-server/../../libcommon/http/server.h:
bin/niks3-server/../../libcommon/http/../core/buf.h:
bin/niks3-server/../../libcommon/http/../core/err.h:
bin/niks3-server/../../libcommon/oidc/jwt.h:
bin/niks3-server/../../libcommon/oidc/oidc.h:
bin/niks3-server/../../libcommon/oidc/oidc_config.h:
bin/niks3-server/auth_cache.h:
bin/niks3-server/auth_fail.h:
bin/niks3-server/auth_mtls.h:
bin/niks3-server/server.h:
bin/niks3-server/../../proto/messages.h:
bin/niks3-server/../../proto/../libcommon/codec/desc.h:
bin/niks3-server/../../proto/roles.def:
bin/niks3-server/../../proto/scopes.h:
