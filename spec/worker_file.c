// SPDX-License-Identifier: Apache-2.0
#include "spec/worker_file.h"

#include <stdio.h>
#include <string.h>

#include "spec/worker_lex.h"

struct parser {
	struct worker_lex lex;
	struct worker_file *w;
	struct worker_line line;
	/* For what may be given only once: the line on which it came, and by which word. */
	struct {
		unsigned line;
		const char *word;
	} seen[8];
};

struct word {
	const char *name;
	unsigned min, max; /* how many arguments the word takes */
	int (*take)(struct parser *p, const struct word *word);
	enum worker_kind kind;
	unsigned once;	     /* the word's index in parser.seen; 0: it may come again */
	const char *instead; /* for a word that is refused: what to do in its place */
};

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

const char *worker_stack_image(const char *stack)
{
	return strcmp(stack, "python-2.7") == 0 ? "iron27" : stack;
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
	return worker_file_fail(p->w, p->line.line, p->line.column, p->lex.e, "%s", text);
}

static int fail_arg(struct parser *p, size_t i, const char *text)
{
	const struct worker_arg *a = &p->line.args[i];

	return worker_file_fail(p->w, a->line, a->column, p->lex.e, "%s: %s", p->line.word, text);
}

/* The i-th argument has to be a string that is not empty. */
static int need_text(struct parser *p, size_t i)
{
	const char *text = p->line.args[i].text;

	if (!text)
		return fail_arg(p, i, "must be a string in quotes");
	return *text ? 0 : fail_arg(p, i, "must not be empty");
}

static int take_text(struct parser *p, const struct word *word)
{
	struct worker_arg *a = &p->line.args[0];
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
	/* exec's second argument may have set the name already. */
	free(*to[word->once]);
	*to[word->once] = TAKE_PTR(a->text);
	return 0;
}

/* exec "hello.py", "Hello": the second argument is the worker's name. A line "name" takes
 * precedence. */
static int take_exec(struct parser *p, const struct word *word)
{
	int r = p->line.n > 1 ? need_text(p, 1) : 0;

	if (r == 0)
		r = take_text(p, word);
	if (r == 0 && p->line.n > 1 && !p->w->name)
		p->w->name = TAKE_PTR(p->line.args[1].text);
	return r;
}

#define NO_TRUTH "must be true or false, without quotes, or be left out"
static int take_remote(struct parser *p, const struct word *word)
{
	(void)word;
	if (p->line.n > 0 && p->line.args[0].text)
		return fail_arg(p, 0, NO_TRUTH);
	p->w->remote = p->line.n == 0 || p->line.args[0].truth;
	return 0;
}

static int refuse(struct parser *p, const struct word *word)
{
	return fail_word(p, "%s: %s", word->name, word->instead);
}

/* Makes an item of the line's first argument. */
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

/* Takes the second argument as the item's dest, or "". */
static int take_second(struct parser *p, struct worker_item *item)
{
	if (p->line.n > 1)
		item->dest = TAKE_PTR(p->line.args[1].text);
	else
		item->dest = strdup("");
	return item->dest ? 0 : err_set(p->lex.e, ERR_SYSTEM, ENOMEM, "%s", p->w->what);
}

/* Whether a path stays inside the package: it is relative, and has no "..". */
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

/* pip "name", pip "name==1.2", pip "name", "1.2" and pip "name", ">=1.2" each become one text. */
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
		return fail_arg(
			p, 0,
			"must name what to install; options of pip belong to 'sandboxctl upload'");
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
	{"runtime", 1, 1, take_text, 0, 2, NULL},
	{"stack", 1, 1, take_text, 0, 3, NULL},
	{"name", 1, 1, take_text, 0, 1, NULL},
	{"exec", 1, 2, take_exec, 0, 4, NULL},
	{"worker", 1, 2, take_exec, 0, 4, NULL},
	{"file", 1, 2, take_path, WORKER_FILE, 0, NULL},
	{"dir", 1, 2, take_path, WORKER_DIR, 0, NULL},
	{"zip", 1, 2, take_path, WORKER_ZIP, 0, NULL},
	{"pip", 1, 2, take_pip, WORKER_PIP, 0, NULL},
	{"requirements", 1, 1, take_path, WORKER_REQUIREMENTS, 0, NULL},
	{"set_env", 2, 2, take_env, WORKER_ENV, 0, NULL},
	{"full_remote_build", 0, 1, take_remote, 0, 6, NULL},
	{"remote", 0, 1, take_remote, 0, 6, NULL},
	{"remote_build_command", 1, 1, take_text, 0, 5, NULL},
	{"build", 1, 1, take_text, 0, 5, NULL},
	{"deb", 0, WORKER_ARGS_MAX, refuse, 0, 0,
	 "packages are installed in images, not in workers: build an image with this Debian "
	 "package among its \"packages\" ('sandboxctl image build'), and upload with --image"},
	{"gem", 0, WORKER_ARGS_MAX, refuse, 0, 0, NO_RUBY},
	{"gemfile", 0, WORKER_ARGS_MAX, refuse, 0, 0, NO_RUBY},
	{"jar", 0, WORKER_ARGS_MAX, refuse, 0, 0, NO_RUBY},
};

static const char *arity(const struct word *word)
{
	if (word->min == 2)
		return "2 arguments";
	if (word->max == 2)
		return "1 or 2 arguments";
	return word->min == 1 ? "1 argument" : "at most 1 argument";
}

/* No word takes an argument that is neither in quotes nor true or false. */
static int refuse_bare(struct parser *p, const struct word *word)
{
	for (size_t i = 0; i < p->line.n; i++) {
		const struct worker_arg *a = &p->line.args[i];

		if (a->bare && word->take == take_remote)
			return fail_arg(p, i, NO_TRUTH);
		if (a->bare)
			return worker_file_fail(p->w, a->line, a->column, p->lex.e,
						"%s: '%s' is not a string: write it in quotes",
						word->name, a->text);
	}
	return 0;
}

static int take_line(struct parser *p)
{
	const struct word *word = NULL;
	size_t n = p->line.n;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, p->line.word) == 0)
			word = &words[i];
	if (!word)
		return fail_word(p,
				 "there is no word '%s'; the words are runtime, stack, name, exec, "
				 "file, dir, zip, pip, requirements, set_env, remote and "
				 "remote_build_command",
				 p->line.word);
	r = word->take == refuse ? 0 : refuse_bare(p, word);
	if (r < 0)
		return r;
	if (n < word->min || n > word->max)
		return fail_word(p, "%s: takes %s, not %zu", word->name, arity(word), n);
	if (word->once) {
		if (p->seen[word->once].line && strcmp(p->seen[word->once].word, word->name) != 0)
			return fail_word(
				p, "%s: means the same as %s on line %u, and may be given once",
				word->name, p->seen[word->once].word, p->seen[word->once].line);
		if (p->seen[word->once].line)
			return fail_word(p, "%s: is on line %u already, and may be given once",
					 word->name, p->seen[word->once].line);
		p->seen[word->once].line = p->line.line;
		p->seen[word->once].word = word->name;
	}
	return word->take(p, word);
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
			r = worker_line_read(&p.lex, &p.line);
			if (r == 0)
				r = take_line(&p);
			worker_line_clear(&p.line);
		}
		if (r == 0 && p.lex.token == TOKEN_EOL)
			r = worker_lex_next(&p.lex);
	}
	worker_line_clear(&p.line);
	worker_lex_clear(&p.lex);
	if (r < 0)
		worker_file_clear(ret);
	return r;
}
