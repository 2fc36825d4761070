build-san/libcommon/nix/signkey.o: libcommon/nix/signkey.c \
 libcommon/nix/signkey.h libcommon/nix/../codec/base64.h \
 libcommon/nix/../core/err.h libcommon/nix/../core/../../proto/errors.def \
 libcommon/nix/../core/secret.h
libcommon/nix/signkey.h:
libcommon/nix/../codec/base64.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/../core/secret.h:
