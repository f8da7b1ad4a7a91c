// SPDX-License-Identifier: Apache-2.0
/* How sandboxctl prints for people: errors on stderr, and never a raw control character. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/text.h"
#include "supervisor/ctl/ctl.h"

/* Text that comes from a task or a file never acts on the terminal. */
static void print_escaped(FILE *to, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	char shown[LOG_TEXT_SHOWN];

	for (size_t left = strlen(s), n; left > 0; p += n, left -= n) {
		n = log_text_show(p, left, shown);
		fputs(shown, to);
	}
}

/* How many columns the text takes: one for each character, more for one that is escaped. */
static int width_of(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	char shown[LOG_TEXT_SHOWN];
	int width = 0;

	for (size_t left = strlen(s), n; left > 0; p += n, left -= n) {
		n = log_text_show(p, left, shown);
		width += strncmp(shown, (const char *)p, n) == 0 ? 1 : (int)strlen(shown);
	}
	return width;
}

void ctl_print_cell(const char *s, int width)
{
	int pad = width - width_of(s);

	print_escaped(stdout, s);
	printf("%*s", pad > 0 ? pad : 0, "");
}

void ctl_print_text(const char *s)
{
	print_escaped(stdout, s);
}

void ctl_print_field(const char *name, const char *text)
{
	if (!*text)
		return;
	printf("%-12s ", name);
	ctl_print_text(text);
	putchar('\n');
}

void ctl_format_size(char *buf, size_t size, double bytes)
{
	static const char units[] = "BKMGT";
	int u = 0;

	while (bytes >= 1024 && units[u + 1]) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, size, u ? "%.1f%c" : "%.0f%c", bytes, units[u]);
}

void ctl_time_cell(const json_t *of, const char *key, char cell[CTL_CELL])
{
	const time_t at = (time_t)(json_integer_value(json_object_get(of, key)) / SEC);
	struct tm tm;

	if (!at || !gmtime_r(&at, &tm) || !strftime(cell, CTL_CELL, "%FT%TZ", &tm))
		cell[0] = '\0';
}

/* Columns grow with their content, so each row is made twice: to measure it, and to print it. */
void ctl_print_table(const struct ctl_table *table, const json_t *rows)
{
	char cell[CTL_COLUMNS_MAX][CTL_CELL];
	int width[CTL_COLUMNS_MAX] = {0};
	const json_t *row;
	unsigned last;
	size_t i;

	for (unsigned c = 0; c < table->n; c++)
		width[c] = (int)strlen(table->titles[c]);
	json_array_foreach(rows, i, row)
	{
		table->row(row, cell);
		for (unsigned c = 0; c < table->n; c++)
			if (width_of(cell[c]) > width[c])
				width[c] = width_of(cell[c]);
	}
	for (unsigned c = 0; c + 1 < table->n; c++)
		printf("%-*s  ", width[c], table->titles[c]);
	puts(table->titles[table->n - 1]);
	json_array_foreach(rows, i, row)
	{
		table->row(row, cell);
		last = table->n - 1;
		while (last > 0 && !*cell[last])
			last--; /* without blanks at the end of a line */
		for (unsigned c = 0; c <= last; c++)
			ctl_print_cell(cell[c], c < last ? width[c] + 2 : 0);
		putchar('\n');
	}
}

static pthread_mutex_t turns[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static bool one_file;

static void look_at_files(void)
{
	struct stat out, err;

	one_file = fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 &&
		   out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

pthread_mutex_t *ctl_turn(int fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, look_at_files);
	return &turns[fd == STDERR_FILENO && !one_file];
}

void ctl_line(FILE *to, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	(void)pthread_mutex_lock(ctl_turn(fileno(to)));
	text[n] = '\n'; /* in the place of its NUL */
	(void)fwrite(text, 1, (size_t)n + 1, to);
	(void)fflush(to);
	(void)pthread_mutex_unlock(ctl_turn(fileno(to)));
}

static void say(const char *verb, const char *fmt, va_list ap)
{
	_cleanup_free_ char *line = NULL;
	char text[ERR_MSG_MAX + 256];
	size_t len;
	FILE *out;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	out = open_memstream(&line, &len);
	if (!out)
		return;
	print_escaped(out, text);
	if (fclose(out) == 0)
		ctl_line(stderr, "sandboxctl%s%s: %s", verb ? " " : "", verb ? verb : "", line);
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

	/* A letter among others (-xq) is not a word by itself, but optopt has it. */
	if (optopt && strncmp(word, "--", 2) != 0)
		return ctl_usage(verb, "there is no option -%c, or it needs a value", optopt);
	/* For a long option that it knows, getopt sets optopt as well. */
	if (optopt)
		return strchr(word, '=') ? ctl_usage(verb, "%s: takes no value", word)
					 : ctl_usage(verb, "%s needs a value", word);
	return ctl_usage(verb, "there is no option %s", word);
}

int ctl_read_options(const char *verb, int argc, char **argv, const char *letters,
		     const struct option *options, ctl_option_fn take, void *arg)
{
	int option, r = 0;

	optind = 0; /* another word of the verb may have had its options read */
	while (r == 0 && (option = getopt_long(argc, argv, letters, options, NULL)) != -1)
		r = option == '?' || option == ':' ? ctl_bad_option(verb, argv)
						   : take(arg, option, optarg);
	return r;
}

int ctl_bad_count(const char *verb, const char *word, int min, int max)
{
	if (min != max)
		return ctl_usage(verb, "%s takes %d to %d words", word, min, max);
	return ctl_usage(verb, "%s takes %d word%s", word, min, min == 1 ? "" : "s");
}

int ctl_flush(int status)
{
	static bool said;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* In `sandboxctl ps | head` nothing needs to be printed, but it is no success either. */
	if (errno != EPIPE && !said)
		ctl_say("cannot write to stdout: %s", strerror(errno));
	said = true;
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

bool ctl_asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int ctl_dispatch(struct ctl *ctl, const char *verb, const struct ctl_word *words, const char *help,
		 int argc, char **argv)
{
	if (argc < 2) {
		char list[200] = "";
		size_t n = 0;

		for (const struct ctl_word *w = words; w->name; w++)
			if (!w->internal && n < sizeof(list))
				n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
						      n ? ", " : "", w->name);
		return ctl_usage(verb, "what? (%s)", list);
	}
	if (ctl_asks_help(argc, argv)) {
		fputs(help, stdout);
		return ctl_flush(0);
	}
	for (; words->name; words++)
		if (strcmp(words->name, argv[1]) == 0)
			return words->run(ctl, argc - 1, argv + 1);
	return ctl_usage(verb, "there is no '%s'", argv[1]);
}
