build-san/libcommon/nix/storepath.o: libcommon/nix/storepath.c \
 libcommon/nix/storepath.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/nix32.h
libcommon/nix/storepath.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/nix32.h:
