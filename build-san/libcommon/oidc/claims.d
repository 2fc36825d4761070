build-san/libcommon/oidc/claims.o: libcommon/oidc/claims.c \
 libcommon/oidc/claims.h libcommon/oidc/../core/err.h \
 libcommon/oidc/../core/../../proto/errors.def \
 libcommon/oidc/../core/glob.h
libcommon/oidc/claims.h:
libcommon/oidc/../core/err.h:
libcommon/oidc/../core/../../proto/errors.def:
libcommon/oidc/../core/glob.h:
