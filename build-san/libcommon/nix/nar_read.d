build-san/libcommon/nix/nar_read.o: libcommon/nix/nar_read.c \
 libcommon/nix/nar.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/nar_words.h
libcommon/nix/nar.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/nar_words.h:
