// SPDX-License-Identifier: Apache-2.0
#include "supervisor/worker_file.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/worker_lex.h"

#define ARGS_MAX 4

/* A line of the file: its word and arguments. */
struct line {
	char *word;
	unsigned at_line, at_column; /* of the word */
	struct arg {
		char *text; /* NULL: true, false or nil; it is in `truth` then */
		bool truth;
		unsigned line, column;
	} args[ARGS_MAX];
	size_t n;
};

struct parser {
	struct worker_lex lex;
	struct worker_file *w;
	struct line line;
	unsigned seen[8]; /* the line of the first one, of words that may come once */
};

struct word {
	const char *name;
	unsigned min, max; /* arguments */
	int (*take)(struct parser *p, const struct word *word);
	enum worker_kind kind;
	const char *instead; /* of one that is refused */
	unsigned once;	     /* index in parser.seen; 0: may be repeated */
};

static void line_clear(struct line *l)
{
	free(l->word);
	for (size_t i = 0; i < l->n; i++)
		free(l->args[i].text);
	*l = (struct line){0};
}

void worker_file_clear(struct worker_file *w)
{
	free(w->name);
	free(w->runtime);
	free(w->stack);
	free(w->exec);
	free(w->build_command);
	for (size_t i = 0; i < w->n_items; i++) {
		free(w->items[i].text);
		free(w->items[i].dest);
	}
	free(w->items);
	*w = (struct worker_file){0};
}

int worker_file_fail(const struct worker_file *w, unsigned line, unsigned column, struct err *e,
		     const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_INPUT, 0, "%s:%u:%u: %s", w->what, line, column, text);
}

static int fail_word(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail_word(struct parser *p, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return worker_file_fail(p->w, p->line.at_line, p->line.at_column, p->lex.e, "%s", text);
}

static int fail_arg(struct parser *p, size_t i, const char *text)
{
	const struct arg *a = &p->line.args[i];

	return worker_file_fail(p->w, a->line, a->column, p->lex.e, "%s: %s", p->line.word, text);
}

/* The i-th argument, which must be a string that is not empty. */
static int need_text(struct parser *p, size_t i)
{
	const char *text = p->line.args[i].text;

	if (!text)
		return fail_arg(p, i, "must be a string in quotes");
	return *text ? 0 : fail_arg(p, i, "must not be empty");
}

static int take_text(struct parser *p, const struct word *word)
{
	struct arg *a = &p->line.args[0];
	char **to[] = {NULL,	     &p->w->name, &p->w->runtime,
		       &p->w->stack, &p->w->exec, &p->w->build_command};
	int r = need_text(p, 0);

	if (r < 0)
		return r;
	if (word->once == 4) {
		p->w->exec_line = a->line;
		p->w->exec_column = a->column;
	}
	if (word->once == 5) {
		p->w->build_line = a->line;
		p->w->build_column = a->column;
	}
	*to[word->once] = TAKE_PTR(a->text);
	return 0;
}

static int take_remote(struct parser *p, const struct word *word)
{
	(void)word;
	if (p->line.n > 0 && p->line.args[0].text)
		return fail_arg(p, 0, "must be true or false");
	p->w->remote = p->line.n == 0 || p->line.args[0].truth;
	return 0;
}

static int refuse(struct parser *p, const struct word *word)
{
	return fail_word(p, "%s: %s", word->name, word->instead);
}

/* A new item out of the line's first argument. */
static struct worker_item *add_item(struct parser *p, enum worker_kind kind)
{
	struct worker_file *w = p->w;
	struct worker_item *more, *item;

	if (w->n_items >= WORKER_ITEMS_MAX) {
		(void)fail_word(p, "more than %u lines", WORKER_ITEMS_MAX);
		return NULL;
	}
	more = reallocarray(w->items, w->n_items + 1, sizeof(*more));
	if (!more) {
		(void)err_set(p->lex.e, ERR_SYSTEM, ENOMEM, "%s", w->what);
		return NULL;
	}
	w->items = more;
	item = &more[w->n_items++];
	*item = (struct worker_item){.kind = kind,
				     .line = p->line.args[0].line,
				     .column = p->line.args[0].column,
				     .text = TAKE_PTR(p->line.args[0].text)};
	return item;
}

/* The second argument, or "". */
static int take_second(struct parser *p, struct worker_item *item)
{
	if (p->line.n > 1)
		item->dest = TAKE_PTR(p->line.args[1].text);
	else
		item->dest = strdup("");
	return item->dest ? 0 : err_set(p->lex.e, ERR_SYSTEM, ENOMEM, "%s", p->w->what);
}

/* A path inside the package: relative, and without "..". */
static bool inside(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0)
			return false;
		path += n;
		if (*path == '/')
			path++;
	}
	return true;
}

static int take_path(struct parser *p, const struct word *word)
{
	struct worker_item *item;
	const char *dest;
	int r = need_text(p, 0);

	if (r < 0)
		return r;
	if (strstr(p->line.args[0].text, "://"))
		return fail_arg(p, 0, "must be a local path: fetch it first");
	if (p->line.n > 1) {
		dest = p->line.args[1].text;
		if (!dest)
			return fail_arg(p, 1, "must be a string in quotes");
		if (*dest == '/' || !inside(dest))
			return fail_arg(p, 1, "must be a folder inside the package");
	}
	item = add_item(p, word->kind);
	return item ? take_second(p, item) : -EINVAL;
}

static int take_env(struct parser *p, const struct word *word)
{
	struct worker_item *item;
	const char *name;
	int r = need_text(p, 0);

	if (r < 0)
		return r;
	name = p->line.args[0].text;
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") !=
		    strlen(name) ||
	    (*name >= '0' && *name <= '9'))
		return fail_arg(p, 0, "must be a name of letters, digits and _");
	if (!p->line.args[1].text)
		return fail_arg(p, 1, "must be a string in quotes");
	item = add_item(p, word->kind);
	return item ? take_second(p, item) : -EINVAL;
}

/* pip "name", pip "name==1.2", pip "name", "1.2", pip "name", ">=1.2": one text. */
static int take_pip(struct parser *p, const struct word *word)
{
	struct worker_item *item;
	const char *version = "";
	char *whole = NULL;
	int r = need_text(p, 0);

	if (r == 0 && p->line.n > 1)
		r = need_text(p, 1);
	if (r < 0)
		return r;
	if (p->line.n > 1)
		version = p->line.args[1].text;
	if (p->line.args[0].text[0] == '-')
		return fail_arg(p, 0, "must be what is to be installed; options are upload's");
	if (strpbrk(p->line.args[0].text, "\r\n") || strpbrk(version, "\r\n"))
		return fail_arg(p, 0, "must be one line");
	if (asprintf(&whole, "%s%s%s", p->line.args[0].text,
		     *version && !strchr("=<>!~", *version) ? "==" : "", version) < 0)
		return err_set(p->lex.e, ERR_SYSTEM, ENOMEM, "%s", p->w->what);
	free(p->line.args[0].text);
	p->line.args[0].text = whole;
	item = add_item(p, word->kind);
	if (!item)
		return -EINVAL;
	item->dest = strdup("");
	return item->dest ? 0 : err_set(p->lex.e, ERR_SYSTEM, ENOMEM, "%s", p->w->what);
}

#define NO_RUBY "is for Ruby workers; here a worker is Python, or a shell script"
static const struct word words[] = {
	{"runtime", 1, 1, take_text, 0, NULL, 2},
	{"stack", 1, 1, take_text, 0, NULL, 3},
	{"name", 1, 1, take_text, 0, NULL, 1},
	{"exec", 1, 1, take_text, 0, NULL, 4},
	{"worker", 1, 1, take_text, 0, NULL, 4},
	{"file", 1, 2, take_path, WORKER_FILE, NULL, 0},
	{"dir", 1, 2, take_path, WORKER_DIR, NULL, 0},
	{"zip", 1, 2, take_path, WORKER_ZIP, NULL, 0},
	{"pip", 1, 2, take_pip, WORKER_PIP, NULL, 0},
	{"requirements", 1, 1, take_path, WORKER_REQUIREMENTS, NULL, 0},
	{"set_env", 2, 2, take_env, WORKER_ENV, NULL, 0},
	{"full_remote_build", 0, 1, take_remote, 0, NULL, 6},
	{"remote", 0, 1, take_remote, 0, NULL, 6},
	{"remote_build_command", 1, 1, take_text, 0, NULL, 5},
	{"build", 1, 1, take_text, 0, NULL, 5},
	{"deb", 0, ARGS_MAX, refuse, 0,
	 "packages are installed in images, not in workers: build an image with this Debian "
	 "package among its \"packages\" ('sandboxctl image build'), and upload with --image",
	 0},
	{"gem", 0, ARGS_MAX, refuse, 0, NO_RUBY, 0},
	{"gemfile", 0, ARGS_MAX, refuse, 0, NO_RUBY, 0},
	{"jar", 0, ARGS_MAX, refuse, 0, NO_RUBY, 0},
};

static const char *arity(const struct word *word)
{
	if (word->min == 2)
		return "2 arguments";
	if (word->max == 2)
		return "1 or 2 arguments";
	return word->min == 1 ? "1 argument" : "at most 1 argument";
}

static int take_line(struct parser *p)
{
	const struct word *word = NULL;
	size_t n = p->line.n;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, p->line.word) == 0)
			word = &words[i];
	if (!word)
		return fail_word(p,
				 "there is no '%s' here: known are runtime, stack, name, exec, "
				 "file, dir, zip, pip, requirements, set_env, remote and "
				 "remote_build_command",
				 p->line.word);
	if (n < word->min || n > word->max)
		return fail_word(p, "%s: takes %s, not %zu", word->name, arity(word), n);
	if (word->once) {
		if (p->seen[word->once])
			return fail_word(p, "%s: stands on line %u already", word->name,
					 p->seen[word->once]);
		p->seen[word->once] = p->line.at_line;
	}
	return word->take(p, word);
}

static int add_arg(struct parser *p)
{
	struct worker_lex *l = &p->lex;
	struct arg *a = &p->line.args[p->line.n];
	bool is_true;

	if (p->line.n >= ARGS_MAX)
		return worker_lex_fail(l, "%s: takes no more arguments", p->line.word);
	*a = (struct arg){.line = l->at_line, .column = l->at_column};
	if (l->token == TOKEN_WORD) {
		is_true = strcmp(l->text, "true") == 0;
		if (!is_true && strcmp(l->text, "false") != 0 && strcmp(l->text, "nil") != 0)
			return worker_lex_fail(l, "%s: '%s' is no string: write it in quotes",
					       p->line.word, l->text);
		a->truth = is_true;
	} else if (l->token == TOKEN_STRING) {
		a->text = TAKE_PTR(l->text);
	} else {
		return worker_lex_fail(l, "%s: a string in quotes is missing here", p->line.word);
	}
	p->line.n++;
	return 0;
}

/* Newlines mean nothing inside parentheses and after a comma. */
static int next_past_lines(struct parser *p)
{
	int r;

	do {
		r = worker_lex_next(&p->lex);
	} while (r == 0 && p->lex.token == TOKEN_EOL);
	return r;
}

static int read_args(struct parser *p, bool parentheses)
{
	struct worker_lex *l = &p->lex;
	int r = 0;

	for (;;) {
		r = add_arg(p);
		if (r == 0)
			r = parentheses ? next_past_lines(p) : worker_lex_next(l);
		if (r < 0 || l->token != TOKEN_COMMA)
			return r;
		r = next_past_lines(p);
		if (r < 0)
			return r;
	}
}

/* One line, from its word (which is the last token) to its end (which then is). */
static int read_line(struct parser *p)
{
	struct worker_lex *l = &p->lex;
	int r;

	if (l->token != TOKEN_WORD)
		return worker_lex_fail(l, "a line begins with a word such as exec or file");
	p->line.word = TAKE_PTR(l->text);
	p->line.at_line = l->at_line;
	p->line.at_column = l->at_column;
	r = worker_lex_next(l);
	if (r == 0 && l->token == TOKEN_OPEN) {
		r = next_past_lines(p);
		if (r == 0 && l->token != TOKEN_CLOSE)
			r = read_args(p, true);
		if (r == 0 && l->token != TOKEN_CLOSE)
			r = worker_lex_fail(l, "%s: a ) is missing here", p->line.word);
		if (r == 0)
			r = worker_lex_next(l);
	} else if (r == 0 && l->token != TOKEN_EOL && l->token != TOKEN_END) {
		r = read_args(p, false);
	}
	if (r == 0 && l->token != TOKEN_EOL && l->token != TOKEN_END)
		r = worker_lex_fail(l,
				    "%s: the line must end here (arguments are literal strings "
				    "with commas between)",
				    p->line.word);
	return r;
}

int worker_file_parse(const char *what, const char *text, size_t len, struct worker_file *ret,
		      struct err *e)
{
	struct parser p = {.w = ret};
	int r;

	*ret = (struct worker_file){.what = what};
	if (len > WORKER_FILE_MAX)
		return err_set(e, ERR_LIMIT, 0, "%s: has more than %u bytes", what,
			       WORKER_FILE_MAX);
	worker_lex_init(&p.lex, what, text, len, e);
	r = worker_lex_next(&p.lex);
	while (r == 0 && p.lex.token != TOKEN_END) {
		if (p.lex.token != TOKEN_EOL) {
			r = read_line(&p);
			if (r == 0)
				r = take_line(&p);
			line_clear(&p.line);
		}
		if (r == 0 && p.lex.token == TOKEN_EOL)
			r = worker_lex_next(&p.lex);
	}
	line_clear(&p.line);
	worker_lex_clear(&p.lex);
	if (r < 0)
		worker_file_clear(ret);
	return r;
}
