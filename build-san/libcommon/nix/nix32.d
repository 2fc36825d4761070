build-san/libcommon/nix/nix32.o: libcommon/nix/nix32.c \
 libcommon/nix/nix32.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def
libcommon/nix/nix32.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
