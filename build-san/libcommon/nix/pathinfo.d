build-san/libcommon/nix/pathinfo.o: libcommon/nix/pathinfo.c \
 libcommon/nix/pathinfo.h libcommon/nix/hash.h \
 libcommon/nix/../codec/base64.h libcommon/nix/../codec/jsonscan.h \
 libcommon/nix/../core/arena.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/../core/map.h \
 libcommon/nix/../core/num.h libcommon/nix/narinfo.h \
 libcommon/nix/nix32.h libcommon/nix/signkey.h libcommon/nix/storepath.h
libcommon/nix/pathinfo.h:
libcommon/nix/hash.h:
libcommon/nix/../codec/base64.h:
libcommon/nix/../codec/jsonscan.h:
libcommon/nix/../core/arena.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/../core/map.h:
libcommon/nix/../core/num.h:
libcommon/nix/narinfo.h:
libcommon/nix/nix32.h:
libcommon/nix/signkey.h:
libcommon/nix/storepath.h:
