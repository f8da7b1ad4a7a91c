// SPDX-License-Identifier: Apache-2.0
#include "spec/image_json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "spec/task_spec.h"

#define PACKAGES_MAX 2048
#define MODULES_MAX 20000

static const char lower[] = "abcdefghijklmnopqrstuvwxyz";

/* Names become folder names and words on the command lines of apt and pip. Each name is checked by
 * the characters that it may have, and none may look like an option. */
static bool made_of(const char *s, const char *first, const char *more, size_t min, size_t max)
{
	size_t n = strlen(s);

	return n >= min && n <= max && strchr(first, *s) && strspn(s, more) == n;
}

static bool is_image_name(const char *s)
{
	return made_of(s, lower, "abcdefghijklmnopqrstuvwxyz0123456789-", 1, 32);
}

static bool is_package(const char *s)
{
	return made_of(s, "abcdefghijklmnopqrstuvwxyz0123456789",
		       "abcdefghijklmnopqrstuvwxyz0123456789+.-", 2, 128);
}

/* Something that pip can install by name, as "name", "name==1.2" or "name[extra]>=3"; never an
 * option, a path or a URL. */
static bool is_requirement(const char *s)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "._-+*!,=<>~[]";

	return isalnum((unsigned char)*s) && strlen(s) <= 256 && strspn(s, chars) == strlen(s);
}

/* A line for a shell. */
static bool is_command(const char *s)
{
	for (const char *c = s; *c; c++)
		if (iscntrl((unsigned char)*c))
			return false;
	return *s;
}

static bool is_interpreter(const char *s)
{
	static const char prefix[] = "/usr/bin/python";
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 && strspn(s + n, "0123456789.") == strlen(s + n) &&
	       strlen(s) < sizeof(((struct image_head *)NULL)->interpreter);
}

static void read_list(struct json_strict *s, const char *key, size_t max, bool (*ok)(const char *),
		      const char *must)
{
	json_t *list = json_strict_array(s, key, PACKAGES_MAX);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *item = json_strict_item_string(s, key, i, max);

		if (item && !ok(item))
			(void)json_strict_item_fail(s, key, i, "%s", must);
	}
}

/* Ends a reader, then names the keys that are needed and missing. An unknown key is reported first,
 * because a key that is spelled wrong is unknown and missing. */
static int end_with(struct json_strict *s, const char *const *needed, size_t n)
{
	(void)json_strict_end(s);
	for (size_t i = 0; i < n; i++)
		if (s->status == 0 && !json_strict_get(s, needed[i]))
			(void)json_strict_fail(s, needed[i], "is missing");
	return s->status;
}

static void read_warm(struct json_strict *top, const char *what, struct image_head *head)
{
	struct json_strict warm;
	json_t *imports;

	if (!json_strict_object(top, "warm", &warm))
		return;
	imports = json_strict_array(&warm, "imports", 256);
	if (imports) {
		int r = task_spec_imports(what, "warm.imports", imports, head->warm, top->e);

		if (r < 0)
			warm.status = top->status = r;
	}
	(void)json_strict_end(&warm);
}

static void read_policy(struct json_strict *s, struct image_head *head)
{
	const char *policy = json_strict_string(s, "policy", sizeof(head->policy) - 1);

	if (policy && !util_is_name(policy))
		(void)json_strict_fail(s, "policy", "must be a policy's name");
	(void)snprintf(head->policy, sizeof(head->policy), "%s", policy ? policy : "default");
}

static int read_image(struct json_strict *s, const char *what, struct image_head *head)
{
	static const char *const needed[] = {"name", "packages", "interpreter"};
	const char *name, *suite, *interpreter;

	name = json_strict_string(s, "name", 32);
	if (name && !is_image_name(name))
		(void)json_strict_fail(s, "name",
				       "must be of lower-case letters, digits and '-', and begin "
				       "with a letter");
	(void)snprintf(head->name, sizeof(head->name), "%s", name ? name : "");
	(void)json_strict_note(s, "description", 1024);
	suite = json_strict_string(s, "suite", 20);
	if (suite && !made_of(suite, lower, lower, 2, 20))
		(void)json_strict_fail(s, "suite",
				       "must be a Debian release's name such as \"trixie\", or "
				       "\"host\"");
	read_list(s, "packages", 256, is_package, "must be a Debian package's name");
	read_list(s, "build_packages", 256, is_package, "must be a Debian package's name");
	read_list(s, "build_commands", 1024, is_command, "must be one line for a shell");
	read_list(s, "requirements", 256, is_requirement,
		  "must be a requirement such as \"requests==2.32.3\"");
	interpreter = json_strict_string(s, "interpreter", 127);
	if (interpreter && !is_interpreter(interpreter))
		(void)json_strict_fail(s, "interpreter",
				       "must be a Python in /usr/bin such as /usr/bin/python3");
	(void)snprintf(head->interpreter, sizeof(head->interpreter), "%s",
		       interpreter ? interpreter : "");
	read_warm(s, what, head);
	read_policy(s, head);
	return end_with(s, needed, ARRAY_SIZE(needed));
}

int image_json_read(const char *what, const char *text, size_t len, struct image_head *ret,
		    json_t **ret_doc, struct err *e)
{
	json_auto_t *doc = NULL;
	struct json_strict top;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->magic = IMAGE_MAGIC;
	ret->version = IMAGE_VERSION;
	r = json_strict_load(what, text, len, IMAGE_JSON_MAX, &doc, e);
	if (r == 0)
		r = json_strict_begin(&top, what, doc, e);
	if (r == 0)
		r = read_image(&top, what, ret);
	if (r < 0)
		return r;
	*ret_doc = TAKE_PTR(doc);
	return 0;
}

static int read_modules(struct json_strict *s, struct image_head *head)
{
	static const char *const needed[] = {"python", "modules"};
	static const char *const item_needed[] = {"name", "version"};
	const char *python = json_strict_string(s, "python", sizeof(head->python_version) - 1);
	json_t *list = json_strict_array(s, "modules", MODULES_MAX);

	(void)snprintf(head->python_version, sizeof(head->python_version), "%s",
		       python ? python : "");
	(void)json_strict_string(s, "interpreter", 127);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_strict item;

		if (!json_strict_item_object(s, "modules", i, &item))
			continue;
		(void)json_strict_string(&item, "name", 256);
		(void)json_strict_note(&item, "version", 256);
		(void)end_with(&item, item_needed, ARRAY_SIZE(item_needed));
	}
	return end_with(s, needed, ARRAY_SIZE(needed));
}

int image_modules_read(const char *what, const char *text, size_t len, struct image_head *ret,
		       json_t **ret_doc, struct err *e)
{
	json_auto_t *doc = NULL;
	struct json_strict top;
	int r;

	r = json_strict_load(what, text, len, IMAGE_MODULES_MAX, &doc, e);
	if (r == 0)
		r = json_strict_begin(&top, what, doc, e);
	if (r == 0)
		r = read_modules(&top, ret);
	if (r < 0)
		return r;
	*ret_doc = TAKE_PTR(doc);
	return 0;
}
