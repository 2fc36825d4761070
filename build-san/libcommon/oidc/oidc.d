build-san/libcommon/oidc/oidc.o: libcommon/oidc/oidc.c \
 libcommon/oidc/oidc.h libcommon/oidc/oidc_config.h \
 libcommon/oidc/../../proto/scopes.h libcommon/oidc/../codec/shortname.h \
 libcommon/oidc/../core/arena.h libcommon/oidc/../core/clock.h \
 libcommon/oidc/../core/err.h \
 libcommon/oidc/../core/../../proto/errors.def \
 libcommon/oidc/../core/glob.h libcommon/oidc/claims.h \
 libcommon/oidc/jwt.h libcommon/oidc/oidc_keys.h
libcommon/oidc/oidc.h:
libcommon/oidc/oidc_config.h:
libcommon/oidc/../../proto/scopes.h:
libcommon/oidc/../codec/shortname.h:
libcommon/oidc/../core/arena.h:
libcommon/oidc/../core/clock.h:
libcommon/oidc/../core/err.h:
libcommon/oidc/../core/../../proto/errors.def:
libcommon/oidc/../core/glob.h:
libcommon/oidc/claims.h:
libcommon/oidc/jwt.h:
libcommon/oidc/oidc_keys.h:
