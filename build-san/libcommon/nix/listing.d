build-san/libcommon/nix/listing.o: libcommon/nix/listing.c \
 libcommon/nix/listing.h libcommon/nix/../codec/json.h \
 libcommon/nix/../core/buf.h libcommon/nix/../core/err.h \
 libcommon/nix/../core/../../proto/errors.def libcommon/nix/nar.h
libcommon/nix/listing.h:
libcommon/nix/../codec/json.h:
libcommon/nix/../core/buf.h:
libcommon/nix/../core/err.h:
libcommon/nix/../core/../../proto/errors.def:
libcommon/nix/nar.h:
