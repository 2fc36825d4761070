build-san/proto/scopes.o: proto/scopes.c proto/scopes.h \
 proto/../libcommon/core/err.h \
 proto/../libcommon/core/../../proto/errors.def
proto/scopes.h:
proto/../libcommon/core/err.h:
proto/../libcommon/core/../../proto/errors.def:
