// SPDX-License-Identifier: Apache-2.0
#include "spec/task_spec.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_raw.h"

json_t *task_limits_json(const struct limits *limits)
{
	json_t *o = json_object();

	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t v = limit_get(limits, i);

		json_object_set_new(o, row->key,
				    row->type == LIMIT_TYPE_CPUS ? json_real((double)v / 1000)
								 : json_integer((json_int_t)v));
	}
	return o;
}

unsigned task_limits_read(struct json_strict *in, struct limits *limits)
{
	unsigned set = 0;

	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t size;
		int64_t count;
		double cpus;
		bool there;

		if (row->type == LIMIT_TYPE_SIZE) {
			there = json_strict_size(in, row->key, row->min, row->max, &size);
		} else if (row->type == LIMIT_TYPE_COUNT) {
			there = json_strict_int(in, row->key, (int64_t)row->min, (int64_t)row->max,
						&count);
			size = there ? (uint64_t)count : 0;
		} else {
			there = json_strict_number(in, row->key, (double)row->min / 1000,
						   (double)row->max / 1000, &cpus);
			size = there ? (uint64_t)(cpus * 1000 + 0.5) : 0;
		}
		if (!there)
			continue;
		limit_set(limits, i, size);
		set |= LIMIT_BIT(i);
	}
	(void)json_strict_end(in);
	return set;
}

int task_spec_limits(const struct task_spec *spec, const struct policy_head *policy,
		     struct limits *ret, struct err *e)
{
	*ret = policy->limits;
	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t value = limit_get(&spec->limits, i);
		uint64_t max = limit_get(&policy->limits_max, i);
		char asked[32], allowed[32];

		if (!(spec->limits_set & LIMIT_BIT(i)))
			continue;
		if (value > max && spec->limits_lowered & LIMIT_BIT(i))
			value = max;
		if (value > max) {
			limit_format(i, value, asked, sizeof(asked));
			limit_format(i, max, allowed, sizeof(allowed));
			return err_set(e, ERR_INPUT, 0,
				       "task.json: limits.%s: %s is more than the policy \"%.*s\" "
				       "allows (%s)",
				       row->key, asked, (int)sizeof(policy->name), policy->name,
				       allowed);
		}
		limit_set(ret, i, value);
	}
	return 0;
}

#define DOC "task.json"
#define NAME_FIRST "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_CHARS NAME_FIRST "0123456789"

static const char *const kind_names[] = {
	[TASK_EXEC] = "exec",	[TASK_CODE] = "code",	    [TASK_ENTRY] = "entry",
	[TASK_SHELL] = "shell", [TASK_COMMAND] = "command",
};

/* The runtime sets these variables itself, so a task's own value would silently be lost. */
static const char *const reserved_env[] = {"TASK_ID", "TASK_DIR", "PAYLOAD_FILE", "CONFIG_FILE"};

const char *task_kind_name(enum task_kind kind)
{
	return kind_names[kind];
}

static void strings_free(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void task_spec_clear(struct task_spec *spec)
{
	free(spec->source);
	free(spec->dir);
	free(spec->payload);
	free(spec->config);
	strings_free(spec->args, spec->n_args);
	strings_free(spec->env, spec->n_env);
	free(spec->policy);
	free(spec->label);
	*spec = (struct task_spec){0};
}

/* Copies a string that need not be given. When memory is out, the reader has an error. */
static void take_string(struct json_strict *s, const char *key, size_t max, char **ret)
{
	const char *text = json_strict_string(s, key, max);

	if (!text)
		return;
	*ret = strdup(text);
	if (!*ret)
		(void)json_strict_fail(s, key, "out of memory");
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* What is wrong with a path, which must lead below the work folder; NULL: nothing. */
static const char *path_problem(const char *path)
{
	if (*path == '/')
		return "must be a path relative to the task's folder, not an absolute one";
	if (has_control(path))
		return "must not contain control characters";
	for (const char *p = path; *p; p += strcspn(p, "/")) {
		p += strspn(p, "/");
		if (strcspn(p, "/") == 2 && p[0] == '.' && p[1] == '.')
			return "must not contain \"..\": it names a file in the task's folder";
	}
	return NULL;
}

/* Whether s is identifiers, [A-Za-z_][A-Za-z0-9_]*, joined by dots. */
static bool is_dotted(const char *s, size_t len)
{
	size_t n;

	for (;;) {
		if (len == 0 || !strchr(NAME_FIRST, *s))
			return false;
		n = strspn(s, NAME_CHARS);
		if (n >= len)
			return true;
		if (s[n] != '.')
			return false;
		s += n + 1;
		len -= n + 1;
	}
}

static bool is_entry(const char *s)
{
	const char *colon = strchr(s, ':');

	return colon && is_dotted(s, (size_t)(colon - s)) &&
	       is_dotted(colon + 1, strlen(colon + 1));
}

static void read_kind(struct json_strict *s, struct task_spec *spec)
{
	static const size_t max[] = {
		[TASK_EXEC] = TASK_PATH_MAX, [TASK_CODE] = TASK_SOURCE_MAX, [TASK_ENTRY] = 512};
	const char *problem;

	for (enum task_kind k = TASK_EXEC; k <= TASK_ENTRY; k++) {
		if (!json_strict_get(s, kind_names[k]))
			continue;
		if (spec->kind) {
			(void)json_strict_fail(s, kind_names[k],
					       "only one of exec, code and entry may be given, and "
					       "%s is given too",
					       kind_names[spec->kind]);
			return;
		}
		spec->kind = k;
		take_string(s, kind_names[k], max[k], &spec->source);
	}
	if (s->status == 0 && !spec->kind)
		(void)json_strict_fail(s, NULL, "one of exec, code and entry must be given");
	if (s->status < 0 || !spec->source)
		return;
	problem = spec->kind == TASK_EXEC ? path_problem(spec->source) : NULL;
	if (problem)
		(void)json_strict_fail(s, "exec", "%s", problem);
	if (spec->kind == TASK_ENTRY && !is_entry(spec->source))
		(void)json_strict_fail(s, "entry", "must be \"module:function\"");
}

static void read_payload(struct json_strict *s, struct task_spec *spec)
{
	const json_t *value = json_strict_get(s, "payload");

	if (!value)
		return;
	if (json_string_length(value) > TASK_PAYLOAD_MAX) {
		(void)json_strict_fail(s, "payload", "has %zu bytes, and at most %u are allowed",
				       json_string_length(value), TASK_PAYLOAD_MAX);
		return;
	}
	spec->payload = strdup(json_string_value(value));
	if (!spec->payload)
		(void)json_strict_fail(s, "payload", "does not fit into memory");
}

static void read_args(struct json_strict *s, struct task_spec *spec)
{
	json_t *array = json_strict_array(s, "args", TASK_ARGS_MAX);
	size_t total = 0;

	if (!array)
		return;
	spec->args = calloc(json_array_size(array) + 1, sizeof(*spec->args));
	for (size_t i = 0; spec->args && i < json_array_size(array); i++) {
		const char *arg = json_strict_item_string(s, "args", i, TASK_STRING_MAX);

		if (!arg)
			return;
		total += strlen(arg);
		if (total > TASK_PAYLOAD_MAX) {
			(void)json_strict_fail(s, "args", "have more than %u bytes together",
					       TASK_PAYLOAD_MAX);
			return;
		}
		spec->args[i] = strdup(arg);
		if (!spec->args[i])
			break;
		spec->n_args = i + 1;
	}
	if (spec->n_args != json_array_size(array))
		(void)json_strict_fail(s, "args", "out of memory");
}

static void check_env_name(struct json_strict *env, const char *name)
{
	if (strlen(name) > 256 || !*name || !strchr(NAME_FIRST, *name) ||
	    strspn(name, NAME_CHARS) != strlen(name)) {
		(void)json_strict_fail(env, name,
				       "a variable's name must be letters, digits and _, and not "
				       "start with a digit");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(reserved_env); i++)
		if (strcmp(name, reserved_env[i]) == 0)
			(void)json_strict_fail(env, name, "this variable is set by sandboxd");
}

static void read_env(struct json_strict *s, struct task_spec *spec)
{
	struct json_strict env;
	const char *name;
	size_t total = 0;
	json_t *value;

	if (!json_strict_object(s, "env", &env))
		return;
	if (json_object_size(env.obj) > TASK_ENV_MAX) {
		(void)json_strict_fail(s, "env", "has more than %d variables", TASK_ENV_MAX);
		return;
	}
	spec->env = calloc(json_object_size(env.obj) + 1, sizeof(*spec->env));
	json_object_foreach(env.obj, name, value)
	{
		check_env_name(&env, name);
		if (!json_is_string(value))
			(void)json_strict_fail(&env, name, "must be a string");
		if (env.status < 0)
			return;
		total += strlen(name) + json_string_length(value) + 2;
		if (json_string_length(value) > TASK_STRING_MAX || total > TASK_PAYLOAD_MAX) {
			(void)json_strict_fail(&env, name, "is too long (%u bytes at most)",
					       TASK_STRING_MAX);
			return;
		}
		if (!spec->env || asprintf(&spec->env[spec->n_env], "%s=%s", name,
					   json_string_value(value)) < 0) {
			(void)json_strict_fail(s, "env", "out of memory");
			return;
		}
		spec->n_env++;
	}
}

int task_spec_imports(const char *what, const char *path, const json_t *array, char *buf,
		      struct err *e)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *name = json_string_value(json_array_get(array, i));

		if (!name || !is_dotted(name, strlen(name)))
			return err_set(e, ERR_INPUT, 0,
				       "%s: %s[%zu]: must be a module's name such as \"numpy\" or "
				       "\"os.path\"",
				       what, path, i);
		if (used + strlen(name) + 2 > IMAGE_WARM_MAX)
			return err_set(e, ERR_INPUT, 0, "%s: %s: names have more than %d bytes",
				       what, path, IMAGE_WARM_MAX - 1);
		used += (size_t)snprintf(buf + used, IMAGE_WARM_MAX - used, "%s%s", i ? "\n" : "",
					 name);
	}
	return 0;
}

static void read_warm(struct json_strict *s, struct task_spec *spec)
{
	struct json_strict warm;
	const char *module, *entropy;
	json_t *imports;

	if (!json_strict_object(s, "warm", &warm))
		return;
	imports = json_strict_array(&warm, "imports", IMAGE_WARM_MAX / 2);
	if (imports) {
		spec->has_warm = true;
		/* task_spec_imports fills in the caller's error itself; only the readers' status is
		 * left to set. */
		if (task_spec_imports(s->what, "warm.imports", imports, spec->warm, s->e) < 0)
			s->status = warm.status = -EINVAL;
	}
	module = json_strict_string(&warm, "module", sizeof(spec->warm_module) - 1);
	if (module && !is_dotted(module, strlen(module)))
		(void)json_strict_fail(&warm, "module", "must be a module's name such as \"app\"");
	else if (module)
		(void)snprintf(spec->warm_module, sizeof(spec->warm_module), "%s", module);
	entropy = json_strict_string(&warm, "entropy", 16);
	if (entropy && strcmp(entropy, "refuse") != 0 && strcmp(entropy, "allow") != 0)
		(void)json_strict_fail(&warm, "entropy", "must be \"allow\" or \"refuse\"");
	else if (entropy && !module)
		(void)json_strict_fail(&warm, "entropy", "is for warm.module, which is missing");
	spec->warm_refuse = entropy && strcmp(entropy, "refuse") == 0;
	(void)json_strict_end(&warm);
}

static void read_rest(struct json_strict *s, struct task_spec *spec)
{
	const char *start = json_strict_string(s, "start", 32);
	int64_t priority;
	int mode;

	take_string(s, "dir", 4096, &spec->dir);
	take_string(s, "policy", 63, &spec->policy);
	if (spec->policy && !util_is_name(spec->policy))
		(void)json_strict_fail(s, "policy", "must be a policy's name such as \"default\"");
	take_string(s, "label", TASK_LABEL_MAX, &spec->label);
	if (spec->label && has_control(spec->label))
		(void)json_strict_fail(s, "label", "must not contain control characters");
	if (start) {
		mode = start_mode_parse(start);
		if (mode < 0)
			(void)json_strict_fail(
				s, "start", "must be \"auto\", \"cold\", \"restore\" or \"fork\"");
		else
			spec->start = (enum start_mode)mode;
	}
	if (json_strict_int(s, "priority", 0, TASK_PRIORITY_MAX, &priority))
		spec->priority = (int)priority;
}

int task_spec_from_json(json_t *doc, struct task_spec *ret, struct err *e)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct json_strict s, limits;
	int r;

	*ret = (struct task_spec){0};
	r = json_strict_begin(&s, DOC, doc, e);
	if (r < 0)
		return r;
	read_kind(&s, &spec);
	read_payload(&s, &spec);
	read_args(&s, &spec);
	read_env(&s, &spec);
	if (json_strict_object(&s, "limits", &limits))
		spec.limits_set = task_limits_read(&limits, &spec.limits);
	read_warm(&s, &spec);
	read_rest(&s, &spec);
	r = json_strict_end(&s);
	if (r < 0)
		return r;
	*ret = spec;
	spec = (struct task_spec){0};
	return 0;
}

int task_spec_load(const char *text, size_t len, json_t **ret, struct err *e)
{
	static const char *const paths[] = {"payload", NULL};

	return json_raw_load(DOC, text, len, TASK_SPEC_MAX, paths, true, ret, e);
}

char *task_spec_dump(const json_t *doc)
{
	return json_raw_dump(doc, "payload");
}

int task_spec_parse(const char *text, size_t len, struct task_spec *ret, struct err *e)
{
	json_auto_t *doc = NULL;
	int r;

	*ret = (struct task_spec){0};
	r = task_spec_load(text, len, &doc, e);
	return r < 0 ? r : task_spec_from_json(doc, ret, e);
}
