/*
 * The words of a NAR as they stand in it: the length as 64 bits, little endian,
 * then the text, padded with zeros to eight bytes. Private to nar_dump.c and
 * nar_read.c; the grammar is
 *
 *	nar   = MAGIC node
 *	node  = OPEN TYPE ( file | link | dir ) CLOSE
 *	file  = REGULAR [ EXECUTABLE EMPTY ] CONTENTS string
 *	link  = SYMLINK TARGET string
 *	dir   = DIRECTORY { ENTRY OPEN NAME string NODE node CLOSE }
 */
#ifndef NIX_NAR_WORDS_H
#define NIX_NAR_WORDS_H

#define LEN(n)     n "\0\0\0\0\0\0\0"
#define EMPTY      LEN("\0")
#define OPEN       LEN("\1") "(\0\0\0\0\0\0\0"
#define CLOSE      LEN("\1") ")\0\0\0\0\0\0\0"
#define TYPE       LEN("\4") "type\0\0\0\0"
#define NAME       LEN("\4") "name\0\0\0\0"
#define NODE       LEN("\4") "node\0\0\0\0"
#define ENTRY      LEN("\5") "entry\0\0\0"
#define TARGET     LEN("\6") "target\0\0"
#define REGULAR    LEN("\7") "regular\0"
#define SYMLINK    LEN("\7") "symlink\0"
#define CONTENTS   LEN("\10") "contents"
#define DIRECTORY  LEN("\11") "directory\0\0\0\0\0\0\0"
#define EXECUTABLE LEN("\12") "executable\0\0\0\0\0\0"
#define MAGIC      LEN("\15") "nix-archive-1\0\0\0"

/* The zeros after n bytes. */
#define PADDING(n) (7 & -(n))

#endif
