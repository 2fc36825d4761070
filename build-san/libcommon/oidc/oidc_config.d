build-san/libcommon/oidc/oidc_config.o: libcommon/oidc/oidc_config.c \
 libcommon/oidc/oidc_config.h libcommon/oidc/../../proto/scopes.h \
 libcommon/oidc/../codec/json.h libcommon/oidc/../core/arena.h \
 libcommon/oidc/../core/buf.h libcommon/oidc/../core/err.h \
 libcommon/oidc/../core/../../proto/errors.def \
 libcommon/oidc/../core/file.h libcommon/oidc/../core/secret.h \
 libcommon/oidc/claims.h libcommon/oidc/jwt.h
libcommon/oidc/oidc_config.h:
libcommon/oidc/../../proto/scopes.h:
libcommon/oidc/../codec/json.h:
libcommon/oidc/../core/arena.h:
libcommon/oidc/../core/buf.h:
libcommon/oidc/../core/err.h:
libcommon/oidc/../core/../../proto/errors.def:
libcommon/oidc/../core/file.h:
libcommon/oidc/../core/secret.h:
libcommon/oidc/claims.h:
libcommon/oidc/jwt.h:
