/*
 * What of AWS's hands out credentials, played by a script (fake_s3.h).
 */
#ifndef TESTS_FAKE_AWS_H
#define TESTS_FAKE_AWS_H

/* Nothing of AWS's is left in the environment. */
void aws_env_clear(void);
/* setenv("name", "http://127.0.0.1:PORT" path) */
void aws_env_url(const char *name, unsigned port, const char *path);

/* "2026-01-02T03:04:05Z", so many seconds from now. Of a static buffer. */
const char *aws_time(long seconds);

/* Answers; in memory that lives as long as the program. */
const char *aws_json(const char *id, const char *token, long seconds);
const char *aws_sts(const char *id, const char *token, long seconds);

#endif
