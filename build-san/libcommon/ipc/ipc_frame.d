build-san/libcommon/ipc/ipc_frame.o: libcommon/ipc/ipc_frame.c \
 libcommon/ipc/ipc_frame.h libcommon/ipc/../../proto/messages.h \
 libcommon/ipc/../../proto/../libcommon/codec/desc.h \
 libcommon/ipc/../../proto/roles.def libcommon/ipc/../codec/wire.h \
 libcommon/ipc/../core/buf.h libcommon/ipc/../core/err.h \
 libcommon/ipc/../core/../../proto/errors.def \
 libcommon/ipc/../core/utf8.h
libcommon/ipc/ipc_frame.h:
libcommon/ipc/../../proto/messages.h:
libcommon/ipc/../../proto/../libcommon/codec/desc.h:
libcommon/ipc/../../proto/roles.def:
libcommon/ipc/../codec/wire.h:
libcommon/ipc/../core/buf.h:
libcommon/ipc/../core/err.h:
libcommon/ipc/../core/../../proto/errors.def:
libcommon/ipc/../core/utf8.h:
