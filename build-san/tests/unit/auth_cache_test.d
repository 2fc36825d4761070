build-san/tests/unit/auth_cache_test.o: tests/unit/auth_cache_test.c \
 tests/unit/../../bin/niks3-server/auth_cache.h \
 tests/unit/../../bin/niks3-server/../../libcommon/codec/sha256.h \
 tests/unit/../../bin/niks3-server/../../libcommon/oidc/oidc.h \
 tests/unit/../../bin/niks3-server/../../libcommon/oidc/oidc_config.h
tests/unit/../../bin/niks3-server/auth_cache.h:
tests/unit/../../bin/niks3-server/../../libcommon/codec/sha256.h:
tests/unit/../../bin/niks3-server/../../libcommon/oidc/oidc.h:
tests/unit/../../bin/niks3-server/../../libcommon/oidc/oidc_config.h:
