build-san/libcommon/nix/nar_dump.o: libcommon/nix/nar_dump.c \
 libcommon/nix/nar.h libcommon/nix/../core/buf.h \
 libcommon/nix/../core/err.h libcommon/nix/../core/../../proto/errors.def \
 libcommon/nix/nar_words.h
libcommon/nix/nar.h:
libcommon/nix/../core/buf.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/nar_words.h:
