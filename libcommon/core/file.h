/*
 * Whole files.
 */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include <stddef.h>

struct buf;
struct err;

/* Appends the file's content to b (whose max is the limit). */
int file_read(const char *path, struct buf *b, struct err *e);
/* Reads fd until its end. */
int file_read_fd(int fd, struct buf *b, struct err *e);
/* Writes all n bytes. */
int file_write_fd(int fd, const void *p, size_t n, struct err *e);

#endif
