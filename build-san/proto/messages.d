build-san/proto/messages.o: proto/messages.c proto/messages.h \
 proto/../libcommon/codec/desc.h proto/roles.def \
 proto/../libcommon/codec/wire.h
proto/messages.h:
proto/../libcommon/codec/desc.h:
proto/roles.def:
proto/../libcommon/codec/wire.h:
