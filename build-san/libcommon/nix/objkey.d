build-san/libcommon/nix/objkey.o: libcommon/nix/objkey.c \
 libcommon/nix/objkey.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/hash.h \
 libcommon/nix/nix32.h libcommon/nix/storepath.h
libcommon/nix/objkey.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/hash.h:
libcommon/nix/nix32.h:
libcommon/nix/storepath.h:
