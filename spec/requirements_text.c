// SPDX-License-Identifier: Apache-2.0
#include "spec/requirements_text.h"

#include <string.h>

#include "lib/util.h"

#define WORDS_MAX 64

struct parser {
	const char *text, *end;
	unsigned line;	/* the line of text */
	unsigned first; /* where the logical line begins */
	char *buf;	/* the logical line */
	requirements_fn fn;
	void *arg;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Reads one logical line, joined as pip does it: a backslash at the end goes on in the next line,
 * but a line that is only a comment ends what came before. False at the end of the text. */
static bool next_line(struct parser *p)
{
	char *to = p->buf;
	bool more = true;

	if (p->text >= p->end)
		return false;
	p->first = p->line;
	while (more && p->text < p->end) {
		const char *newline = memchr(p->text, '\n', (size_t)(p->end - p->text));
		size_t n = (size_t)((newline ? newline : p->end) - p->text);
		const char *word = p->text;

		if (n > 0 && p->text[n - 1] == '\r')
			n--;
		while (word < p->text + n && is_space(*word))
			word++;
		more = n > 0 && p->text[n - 1] == '\\' && *word != '#';
		memcpy(to, p->text, more ? n - 1 : n);
		to += more ? n - 1 : n;
		p->text = newline ? newline + 1 : p->end;
		p->line++;
	}
	*to = '\0';
	return true;
}

/* A comment begins at the start of the line or after a blank. */
static void cut_comment(char *line)
{
	for (char *c = line; *c; c++)
		if (*c == '#' && (c == line || is_space(c[-1]))) {
			*c = '\0';
			return;
		}
}

/* Splits a line into words as a shell does, in place. */
static size_t split(char *line, char **words)
{
	char *from = line, *to = line;
	size_t n = 0;

	while (n < WORDS_MAX) {
		char quote = '\0';

		while (is_space(*from))
			from++;
		if (!*from)
			break;
		words[n++] = to;
		for (; *from && (quote || !is_space(*from)); from++) {
			if (*from == '\\' && quote != '\'' && from[1])
				*to++ = *++from;
			else if (!quote && (*from == '"' || *from == '\''))
				quote = *from;
			else if (quote && *from == quote)
				quote = '\0';
			else
				*to++ = *from;
		}
		if (*from)
			from++;
		*to++ = '\0';
	}
	return n;
}

/* The value of an option in words[*i], written "-rX", "-r X", "--long=X" or "--long X"; NULL when
 * the word is not that option. *i moves on to the value's word. */
static char *value_of(char **words, size_t n, size_t *i, const char *brief, const char *name)
{
	char *word = words[*i];
	size_t len = strlen(name);

	if (strncmp(word, name, len) == 0 && word[len] == '=')
		return word + len + 1;
	if (strncmp(word, brief, 2) == 0 && word[1] != '-' && word[2])
		return word + 2;
	if ((strcmp(word, name) == 0 || strcmp(word, brief) == 0) && *i + 1 < n)
		return words[++*i];
	return NULL;
}

static bool is_url(const char *word)
{
	return strstr(word, "://") != NULL || strncmp(word, "git+", 4) == 0;
}

/* Cuts "./project[extra]" to the path "./project". */
static void cut_extras(char *path)
{
	char *bracket = strrchr(path, '[');

	if (bracket && bracket > path && path[strlen(path) - 1] == ']')
		*bracket = '\0';
}

static bool is_archive(const char *word)
{
	static const char *const ends[] = {".whl",     ".zip",	  ".tar.gz", ".tgz",
					   ".tar.bz2", ".tar.xz", ".tar"};
	size_t len = strlen(word);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (len > strlen(ends[i]) && strcmp(word + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

static int name(const struct parser *p, enum requirements_kind kind, char *path)
{
	if (kind == REQUIREMENTS_PATH)
		cut_extras(path);
	/* A URL with file: names something on this machine. The function that looks for the file
	 * says what is wrong with it. */
	if (!*path || (is_url(path) && strncmp(path, "file:", 5) != 0))
		return 0;
	return p->fn(p->arg, kind, path, p->first);
}

static int parse_options(struct parser *p, char **words, size_t n)
{
	static const struct {
		const char *brief, *name;
		enum requirements_kind kind;
	} options[] = {
		{"-r", "--requirement", REQUIREMENTS_FILE},
		{"-c", "--constraint", REQUIREMENTS_FILE},
		{"-e", "--editable", REQUIREMENTS_PATH},
		{"-f", "--find-links", REQUIREMENTS_LINKS},
	};
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		for (size_t k = 0; k < ARRAY_SIZE(options) && i < n && r == 0; k++) {
			char *value = value_of(words, n, &i, options[k].brief, options[k].name);

			if (!value)
				continue;
			r = name(p, options[k].kind, value);
			break;
		}
	return r;
}

/* Reads a requirement: a word that pip takes for a path, or "name @ file:...". */
static int parse_requirement(struct parser *p, char **words, size_t n)
{
	char *word = words[0], *end;

	if (n > 2 && strcmp(words[1], "@") == 0)
		word = words[2];
	else if (strstr(word, "@file:"))
		word = strstr(word, "@file:") + 1;
	else if ((end = strchr(word, ';')) != NULL)
		*end = '\0';
	if (strncmp(word, "file:", 5) == 0)
		return name(p, REQUIREMENTS_PATH, word);
	cut_extras(word);
	if (strchr(word, '@') || (*word != '.' && !strchr(word, '/') && !is_archive(word)))
		return 0;
	return name(p, REQUIREMENTS_PATH, word);
}

int requirements_parse(const char *text, size_t len, requirements_fn fn, void *arg)
{
	_cleanup_free_ char *buf = malloc(len + 1);
	struct parser p = {
		.text = text, .end = text + len, .line = 1, .buf = buf, .fn = fn, .arg = arg};
	char *words[WORDS_MAX];
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0 && next_line(&p)) {
		size_t n;

		cut_comment(buf);
		n = split(buf, words);
		if (n > 0)
			r = words[0][0] == '-' ? parse_options(&p, words, n)
					       : parse_requirement(&p, words, n);
	}
	return r;
}
