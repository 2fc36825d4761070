build-san/libcommon/oidc/oidc_keys.o: libcommon/oidc/oidc_keys.c \
 libcommon/oidc/oidc_keys.h libcommon/oidc/../codec/json.h \
 libcommon/oidc/../core/buf.h libcommon/oidc/../core/clock.h \
 libcommon/oidc/../core/err.h \
 libcommon/oidc/../core/../../proto/errors.def \
 libcommon/oidc/../core/opt.h libcommon/oidc/../core/secret.h \
 libcommon/oidc/../http/client.h libcommon/oidc/../http/../core/clock.h \
 libcommon/oidc/claims.h libcommon/oidc/jwt.h \
 libcommon/oidc/oidc_config.h
libcommon/oidc/oidc_keys.h:
libcommon/oidc/../codec/json.h:
libcommon/oidc/../core/buf.h:
libcommon/oidc/../core/clock.h:
libcommon/oidc/../core/err.h:
libcommon/oidc/../core/../../proto/errors.def:
libcommon/oidc/../core/opt.h:
libcommon/oidc/../core/secret.h:
libcommon/oidc/../http/client.h:
libcommon/oidc/../http/../core/clock.h:
libcommon/oidc/claims.h:
libcommon/oidc/jwt.h:
libcommon/oidc/oidc_config.h:
