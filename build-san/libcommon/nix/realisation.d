build-san/libcommon/nix/realisation.o: libcommon/nix/realisation.c \
 libcommon/nix/realisation.h libcommon/nix/../codec/json.h \
 libcommon/nix/../core/arena.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/objkey.h \
 libcommon/nix/storepath.h
libcommon/nix/realisation.h:
libcommon/nix/../codec/json.h:
libcommon/nix/../core/arena.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/objkey.h:
libcommon/nix/storepath.h:
