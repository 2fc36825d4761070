build-san/libcommon/ipc/ipc_server.o: libcommon/ipc/ipc_server.c \
 libcommon/ipc/../codec/wire.h libcommon/ipc/../core/arena.h \
 libcommon/ipc/../core/buf.h libcommon/ipc/../core/err.h \
 libcommon/ipc/../core/../../proto/errors.def libcommon/ipc/../core/log.h \
 libcommon/ipc/ipc.h libcommon/ipc/../core/clock.h \
 libcommon/ipc/../../proto/messages.h \
 libcommon/ipc/../../proto/../libcommon/codec/desc.h \
 libcommon/ipc/../../proto/roles.def libcommon/ipc/ipc_endpoint.h \
 libcommon/ipc/ipc_frame.h libcommon/ipc/ipc_peers.h
libcommon/ipc/../codec/wire.h:
libcommon/ipc/../core/arena.h:
libcommon/ipc/../core/buf.h:
libcommon/ipc/../core/err.h:
libcommon/ipc/../core/../../proto/errors.def:
libcommon/ipc/../core/log.h:
libcommon/ipc/ipc.h:
libcommon/ipc/../core/clock.h:
libcommon/ipc/../../proto/messages.h:
libcommon/ipc/../../proto/../libcommon/codec/desc.h:
libcommon/ipc/../../proto/roles.def:
libcommon/ipc/ipc_endpoint.h:
libcommon/ipc/ipc_frame.h:
libcommon/ipc/ipc_peers.h:
