build-san/libcommon/db/graph_needs.o: libcommon/db/graph_needs.c \
 libcommon/db/graph_internal.h libcommon/db/graph.h \
 libcommon/db/../core/err.h libcommon/db/../core/../../proto/errors.def
libcommon/db/graph_internal.h:
libcommon/db/graph.h:
libcommon/db/../core/err.h:
libcommon/db/../core/../../proto/errors.def:
