build-san/libcommon/nix/narinfo.o: libcommon/nix/narinfo.c \
 libcommon/nix/narinfo.h libcommon/nix/hash.h \
 libcommon/nix/../core/arena.h libcommon/nix/../core/buf.h \
 libcommon/nix/../core/err.h libcommon/nix/../core/../../proto/errors.def \
 libcommon/nix/../core/num.h libcommon/nix/signkey.h \
 libcommon/nix/storepath.h
libcommon/nix/narinfo.h:
libcommon/nix/hash.h:
libcommon/nix/../core/arena.h:
libcommon/nix/../core/buf.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/../core/num.h:
libcommon/nix/signkey.h:
libcommon/nix/storepath.h:
