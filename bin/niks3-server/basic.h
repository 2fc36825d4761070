/*
 * HTTP Basic (RFC 7617), for browsers, which send no bearer token.
 */
#ifndef SERVER_BASIC_H
#define SERVER_BASIC_H

#define BASIC_PASSWORD_MAX 1024 /* bytes */

/* The password, whoever the user is. Returns 0, or -1 when header is none of it (it
 * may be NULL); out is to be wiped. */
int basic_password(const char *header, char out[BASIC_PASSWORD_MAX + 1]);

#endif
