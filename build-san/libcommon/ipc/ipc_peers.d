build-san/libcommon/ipc/ipc_peers.o: libcommon/ipc/ipc_peers.c \
 libcommon/ipc/ipc_peers.h libcommon/ipc/../core/err.h \
 libcommon/ipc/../core/../../proto/errors.def libcommon/ipc/../core/num.h \
 libcommon/ipc/ipc.h libcommon/ipc/../core/clock.h \
 libcommon/ipc/../../proto/messages.h \
 libcommon/ipc/../../proto/../libcommon/codec/desc.h \
 libcommon/ipc/../../proto/roles.def
libcommon/ipc/ipc_peers.h:
libcommon/ipc/../core/err.h:
libcommon/ipc/../core/../../proto/errors.def:
libcommon/ipc/../core/num.h:
libcommon/ipc/ipc.h:
libcommon/ipc/../core/clock.h:
libcommon/ipc/../../proto/messages.h:
libcommon/ipc/../../proto/../libcommon/codec/desc.h:
libcommon/ipc/../../proto/roles.def:
