build-san/libcommon/ipc/ipc_daemon.o: libcommon/ipc/ipc_daemon.c \
 libcommon/ipc/ipc_daemon.h libcommon/ipc/ipc.h \
 libcommon/ipc/../core/clock.h libcommon/ipc/../../proto/messages.h \
 libcommon/ipc/../../proto/../libcommon/codec/desc.h \
 libcommon/ipc/../../proto/roles.def libcommon/ipc/../core/err.h \
 libcommon/ipc/../core/../../proto/errors.def libcommon/ipc/../core/log.h \
 libcommon/ipc/../core/opt.h libcommon/ipc/../core/service.h \
 libcommon/ipc/../core/clock.h
libcommon/ipc/ipc_daemon.h:
libcommon/ipc/ipc.h:
libcommon/ipc/../core/clock.h:
libcommon/ipc/../../proto/messages.h:
libcommon/ipc/../../proto/../libcommon/codec/desc.h:
libcommon/ipc/../../proto/roles.def:
libcommon/ipc/../core/err.h:
libcommon/ipc/../core/../../proto/errors.def:
libcommon/ipc/../core/log.h:
libcommon/ipc/../core/opt.h:
libcommon/ipc/../core/service.h:
libcommon/ipc/../core/clock.h:
