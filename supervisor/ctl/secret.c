// SPDX-License-Identifier: Apache-2.0
/* The secrets of a worker: their names can be listed, and no value is ever shown. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "supervisor/ctl/ctl.h"

#define VALUE_MAX (64u << 10)

static const char secret_help[] =
	"usage: sandboxctl secret set WORKER NAME [--file FILE]\n"
	"       sandboxctl secret ls WORKER\n"
	"       sandboxctl secret rm WORKER NAME\n\n"
	"A secret of an HTTP worker, which its code has as env.NAME. It is kept encrypted, and "
	"given\n"
	"to the worker's instances alone, which are replaced when one changes.\n\n"
	"set  reads the value from FILE as it is, or from stdin without the newline at its end;\n"
	"     on a terminal it asks, and shows nothing. 'put' is another word for it.\n"
	"ls   the names\n"
	"rm   removes one\n\n"
	"  --project NAME  whose worker it is (default)\n";

struct words {
	const char *project, *file, *worker, *name;
};

/* n: words that are wanted. 0 or an exit status. */
static int read_words(struct words *w, int n, int argc, char **argv)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"file", required_argument, NULL, 'f'},
						{0}};
	int c;

	*w = (struct words){.project = "default"};
	optind = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'p')
			w->project = optarg;
		else if (c == 'f')
			w->file = optarg;
		else
			return ctl_bad_option("secret", argv);
	}
	if (argc - optind != n)
		return ctl_usage("secret", "%s takes %s", argv[0],
				 n == 1 ? "a worker" : "a worker and a name");
	w->worker = argv[optind];
	w->name = n > 1 ? argv[optind + 1] : NULL;
	return 0;
}

/* A line from the terminal, without echo. */
static int ask_for(const char *name, char **ret, size_t *ret_len, struct err *e)
{
	struct termios was, quiet;
	int r;

	if (tcgetattr(STDIN_FILENO, &was) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the terminal");
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(stderr, "%s: ", name);
	(void)fflush(stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	*ret = calloc(1, VALUE_MAX + 2);
	r = *ret && fgets(*ret, VALUE_MAX + 2, stdin) ? 0 : -EIO;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	fputc('\n', stderr);
	if (r < 0)
		return err_set(e, ERR_INPUT, 0, "nothing was typed");
	*ret_len = strlen(*ret);
	return 0;
}

static int read_value(const struct words *w, char **ret, size_t *ret_len, struct err *e)
{
	int r;

	if (w->file && strcmp(w->file, "-") != 0)
		return ctl_read_file(w->file, VALUE_MAX, true, ret, ret_len, e);
	r = isatty(STDIN_FILENO) ? ask_for(w->name, ret, ret_len, e)
				 : ctl_read_file("-", VALUE_MAX + 1, true, ret, ret_len, e);
	if (r == 0 && *ret_len > 0 && (*ret)[*ret_len - 1] == '\n')
		(*ret)[--*ret_len] = '\0';
	return r;
}

static int secret_set(struct ctl *ctl, int argc, char **argv)
{
	struct words w;
	struct err e = {0};
	char *value = NULL;
	size_t len = 0;
	json_t *text, *reply = NULL;
	int r = read_words(&w, 2, argc, argv);

	if (r)
		return r;
	r = read_value(&w, &value, &len, &e);
	if (r == 0) {
		text = json_stringn(value, len);
		r = text ? ctl_call(ctl,
				    json_pack("{s:s, s:s, s:s, s:s, s:o}", "op", "web_secret_set",
					      "project", w.project, "name", w.worker, "secret",
					      w.name, "value", text),
				    NULL, 0, &reply, &e)
			 : err_set(&e, ERR_INPUT, 0, "the value must be UTF-8 text");
	}
	if (value)
		explicit_bzero(value, len);
	free(value);
	if (r < 0)
		return ctl_fail(&e);
	r = ctl->json ? ctl_print_json(reply) : 0;
	json_decref(reply);
	return ctl_flush(r);
}

static void secret_row(const json_t *s, char cell[][CTL_CELL])
{
	(void)snprintf(cell[0], CTL_CELL, "%s", ctl_text(s, "name"));
	ctl_time_cell(s, "changed_ns", cell[1]);
}

static const struct ctl_table secret_table = {
	.n = 2, .titles = {"NAME", "CHANGED"}, .row = secret_row};

static int secret_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	json_t *list = NULL;
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 1, argc, argv);

	if (r)
		return r;
	if (ctl_ask(ctl,
		    json_pack("{s:s, s:s, s:s}", "op", "web_secret_ls", "project", w.project,
			      "name", w.worker),
		    "secrets", JSON_ARRAY, &reply, &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&secret_table, list);
	return ctl_flush(0);
}

static int secret_rm(struct ctl *ctl, int argc, char **argv)
{
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 2, argc, argv);

	if (r)
		return r;
	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s, s:s}", "op", "web_secret_rm", "project", w.project,
			       "name", w.worker, "secret", w.name),
		     NULL, 0, NULL, &e) < 0)
		return ctl_fail(&e);
	return 0;
}

int ctl_secret(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"set", secret_set, false},
		{"put", secret_set, true},
		{"ls", secret_ls, false},
		{"rm", secret_rm, false},
		{0},
	};

	return ctl_dispatch(ctl, "secret", words, secret_help, argc, argv);
}
