build-san/proto/bodies.o: proto/bodies.c proto/bodies.h \
 proto/../libcommon/codec/desc.h
proto/bodies.h:
proto/../libcommon/codec/desc.h:
