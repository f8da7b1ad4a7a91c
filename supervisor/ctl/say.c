// SPDX-License-Identifier: Apache-2.0
/* How sandboxctl speaks to people: errors on stderr, never a raw control character. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

/*
 * C0, DEL and, in UTF-8, C1 (U+0080 to U+009F: c2 80 to c2 9f) are what a terminal
 * acts on; text that came from a task or a file is shown with them escaped.
 */
static void print_escaped(FILE *to, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

		if (c1)
			p++;
		if (c1 || *p < 0x20 || *p == 0x7f)
			fprintf(to, "\\x%02x", *p);
		else
			fputc(*p, to);
	}
}

void ctl_print_text(const char *s)
{
	print_escaped(stdout, s);
}

static void say(const char *verb, const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX + 256];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	fputs("sandboxctl", stderr);
	if (verb)
		fprintf(stderr, " %s", verb);
	fputs(": ", stderr);
	print_escaped(stderr, text);
	fputc('\n', stderr);
}

void ctl_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(NULL, fmt, ap);
	va_end(ap);
}

int ctl_fail(const struct err *e)
{
	ctl_say("%s", e->msg);
	return err_exit_status(e->code);
}

int ctl_usage(const char *verb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(verb, fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try 'sandboxctl help%s%s'.\n", verb ? " " : "", verb ? verb : "");
	return err_exit_status(ERR_USAGE);
}

int ctl_bad_option(const char *verb, char **argv)
{
	const char *word = argv[optind - 1];

	/* A letter among others (-xq) is not a word of its own: optopt has it. */
	if (optopt && strncmp(word, "--", 2) != 0)
		return ctl_usage(verb, "there is no option -%c, or it needs a value", optopt);
	return ctl_usage(verb, "there is no option %s, or it needs a value", word);
}

int ctl_flush(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* `sandboxctl ps | head` is no reason for words, but no success either. */
	if (errno != EPIPE)
		ctl_say("cannot write to stdout: %s", strerror(errno));
	return status ? status : err_exit_status(ERR_SYSTEM);
}

static int print_json(const json_t *value, size_t flags)
{
	(void)json_dumpf(value, stdout, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	putchar('\n');
	return ctl_flush(0);
}

int ctl_print_json(const json_t *value)
{
	return print_json(value, JSON_INDENT(2));
}

int ctl_print_json_line(const json_t *value)
{
	return print_json(value, 0);
}

const char *ctl_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}
