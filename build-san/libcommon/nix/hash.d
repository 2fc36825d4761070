build-san/libcommon/nix/hash.o: libcommon/nix/hash.c libcommon/nix/hash.h \
 libcommon/nix/../codec/base64.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/nix32.h
libcommon/nix/hash.h:
libcommon/nix/../codec/base64.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/nix32.h:
