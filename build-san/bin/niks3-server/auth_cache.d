build-san/bin/niks3-server/auth_cache.o: bin/niks3-server/auth_cache.c \
 bin/niks3-server/auth_cache.h \
 bin/niks3-server/../../libcommon/codec/sha256.h \
 bin/niks3-server/../../libcommon/oidc/oidc.h \
 bin/niks3-server/../../libcommon/oidc/oidc_config.h \
 bin/niks3-server/../../libcommon/core/clock.h \
 bin/niks3-server/../../libcommon/core/err.h \
 bin/niks3-server/../../libcommon/core/../../proto/errors.def \
 bin/niks3-server/../../libcommon/core/map.h
bin/niks3-server/auth_cache.h:
bin/niks3-server/../../libcommon/codec/sha256.h:
bin/niks3-server/../../libcommon/oidc/oidc.h:
bin/niks3-server/../../libcommon/oidc/oidc_config.h:
bin/niks3-server/../../libcommon/core/clock.h:
bin/niks3-server/../../libcommon/core/err.h:
bin/niks3-server/../../libcommon/core/../../proto/errors.def:
bin/niks3-server/../../libcommon/core/map.h:
