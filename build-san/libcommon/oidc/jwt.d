build-san/libcommon/oidc/jwt.o: libcommon/oidc/jwt.c libcommon/oidc/jwt.h \
 libcommon/oidc/../codec/json.h libcommon/oidc/../core/err.h \
 libcommon/oidc/../core/../../proto/errors.def
libcommon/oidc/jwt.h:
libcommon/oidc/../codec/json.h:
libcommon/oidc/../core/err.h:
libcommon/oidc/../core/../../proto/errors.def:
