/*
 * The options by which every program that pushes is told where the server is and
 * who we are; a member of its configuration.
 */
#ifndef LOCAL_REMOTE_CONFIG_H
#define LOCAL_REMOTE_CONFIG_H

#include "../core/opt.h"

struct remote_config {
	const char *server_url;
	const char *token_path;
	const char *token_script;
	const char *ca_cert, *client_cert, *client_key;
};

/* Rows of an option table for a struct remote_config at offset o. */
#define REMOTE_OPTIONS(o) REMOTE_OPTIONS_AS(o, OPT_REQUIRED)
/* Where the URL has other flags. */
#define REMOTE_OPTIONS_AS(o, url_flags)                                        \
	{ "server-url", "NIKS3_SERVER_URL", OPT_STR,                           \
		(o) + offsetof(struct remote_config, server_url), url_flags,   \
		NULL, "URL", "the niks3 server", 0, 0 },                       \
	    { "auth-token-path", "NIKS3_AUTH_TOKEN_FILE", OPT_PATH,            \
		    (o) + offsetof(struct remote_config, token_path), 0, NULL, \
		    "FILE", "file with the API token", 0, 0 },                 \
	    { "auth-token-script", "NIKS3_AUTH_TOKEN_SCRIPT", OPT_STR,         \
		    (o) + offsetof(struct remote_config, token_script),        \
		    OPT_RARE, NULL, "COMMAND", "or what prints it as JSON", 0, \
		    0 },                                                       \
	    { "ca-cert", "NIKS3_CA_CERT", OPT_PATH,                            \
		    (o) + offsetof(struct remote_config, ca_cert), OPT_RARE,   \
		    NULL, "FILE", "trust these authorities for the server", 0, \
		    0 },                                                       \
	    { "client-cert", "NIKS3_CLIENT_CERT", OPT_PATH,                    \
		    (o) + offsetof(struct remote_config, client_cert),         \
		    OPT_RARE, NULL, "FILE",                                    \
		    "certificate to show to the server", 0, 0 },               \
	{                                                                      \
		"client-key", "NIKS3_CLIENT_KEY", OPT_PATH,                    \
		    (o) + offsetof(struct remote_config, client_key),          \
		    OPT_RARE, NULL, "FILE", "and its key", 0, 0                \
	}

#endif
