build-san/libcommon/ipc/ipc_endpoint.o: libcommon/ipc/ipc_endpoint.c \
 libcommon/ipc/ipc_endpoint.h libcommon/ipc/../core/clock.h \
 libcommon/ipc/../core/buf.h libcommon/ipc/../core/err.h \
 libcommon/ipc/../core/../../proto/errors.def libcommon/ipc/ipc.h \
 libcommon/ipc/../../proto/messages.h \
 libcommon/ipc/../../proto/../libcommon/codec/desc.h \
 libcommon/ipc/../../proto/roles.def libcommon/ipc/ipc_peers.h
libcommon/ipc/ipc_endpoint.h:
libcommon/ipc/../core/clock.h:
libcommon/ipc/../core/buf.h:
libcommon/ipc/../core/err.h:
libcommon/ipc/../core/../../proto/errors.def:
libcommon/ipc/ipc.h:
libcommon/ipc/../../proto/messages.h:
libcommon/ipc/../../proto/../libcommon/codec/desc.h:
libcommon/ipc/../../proto/roles.def:
libcommon/ipc/ipc_peers.h:
