#include "html.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

#define SPEC_MAX   16 /* characters of a conversion */
#define NUMBER_MAX 64

static void
put(struct html *h, const char *s, size_t n)
{
	if (!h->failed && buf_append(h->out, s, n, h->e) != 0)
		h->failed = 1;
}

static void
put_text(struct html *h, const char *s)
{
	static const char special[] = "&<>\"'";
	static const char *const written[] = { "&amp;", "&lt;", "&gt;",
		"&quot;", "&#39;" };

	for (;;) {
		size_t n = strcspn(s, special);

		put(h, s, n);
		s += n;
		if (*s == '\0')
			return;
		n = strchr(special, *s++) - special;
		put(h, written[n], strlen(written[n]));
	}
}

/* A number: spec is a conversion of its own, "%.1f" or "%jd". */
static void
put_number(struct html *h, const char *spec, size_t len, va_list *ap)
{
	char text[NUMBER_MAX];
	int n;

	if (spec[len - 1] == 'f')
		n = snprintf(text, sizeof text, spec, va_arg(*ap, double));
	else if (strchr(spec, 'j') != NULL)
		n = snprintf(text, sizeof text, spec, va_arg(*ap, intmax_t));
	else if (strchr(spec, 'z') != NULL)
		n = snprintf(text, sizeof text, spec, va_arg(*ap, size_t));
	else if (spec[len - 1] == 'd' || spec[len - 1] == 'u')
		n = snprintf(text, sizeof text, spec, va_arg(*ap, int));
	else
		err_die("html: conversion %s", spec);
	put(h, text, n);
}

void
html_add(struct html *h, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	while (*fmt != '\0') {
		char spec[SPEC_MAX];
		size_t n = strcspn(fmt, "%");

		put(h, fmt, n);
		fmt += n;
		if (*fmt == '\0')
			break;
		n = 1 + strcspn(fmt + 1, "sduf%");
		if (fmt[n] == '\0' || n + 2 > sizeof spec)
			err_die("html: conversion %s", fmt);
		n++;
		memcpy(spec, fmt, n);
		spec[n] = '\0';
		fmt += n;
		if (strcmp(spec, "%%") == 0)
			put(h, "%", 1);
		else if (strcmp(spec, "%s") == 0)
			put_text(h, va_arg(ap, const char *));
		else
			put_number(h, spec, n, &ap);
	}
	va_end(ap);
}

void
html_raw(struct html *h, const char *literal)
{
	put(h, literal, strlen(literal));
}

int
html_end(const struct html *h)
{
	return h->failed ? -1 : 0;
}
