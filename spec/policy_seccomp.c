// SPDX-License-Identifier: Apache-2.0
/*
 * Reads linux.seccomp of the OCI runtime specification, with what container engines add to it in
 * the profiles that they ship: archMap, includes, excludes, comment, and error numbers by name
 * beside the number. A task has no capabilities, so rules that ask for one do not apply.
 */
#include <ctype.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "spec/policy_json.h"

#define RULES_MAX 8192
#define SYSCALLS_MAX 1024
#define NAMES_MAX 1024
#define NAME_LEN_MAX 64
#define ERRNO_MAX 4095

static const struct {
	const char *name;
	uint32_t action;
	bool supported;
} actions[] = {
	{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, true},
	{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
	{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, true},
	{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, true},
	{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, true},
	{"SCMP_ACT_TRAP", SCMP_ACT_TRAP, true},
	{"SCMP_ACT_LOG", SCMP_ACT_LOG, true},
	{"SCMP_ACT_TRACE", 0, false},
	{"SCMP_ACT_NOTIFY", 0, false},
};

static const struct {
	const char *name;
	enum scmp_compare op;
} ops[] = {
	{"SCMP_CMP_NE", SCMP_CMP_NE},
	{"SCMP_CMP_LT", SCMP_CMP_LT},
	{"SCMP_CMP_LE", SCMP_CMP_LE},
	{"SCMP_CMP_EQ", SCMP_CMP_EQ},
	{"SCMP_CMP_GE", SCMP_CMP_GE},
	{"SCMP_CMP_GT", SCMP_CMP_GT},
	{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

/* The array at key. Profiles write null where they mean that there is none. */
static json_t *optional_array(struct json_strict *s, const char *key, size_t max)
{
	json_t *value = json_strict_get(s, key);

	return !value || json_is_null(value) ? NULL : json_strict_array(s, key, max);
}

static uint32_t read_action(struct json_strict *s, const char *key, const char *errno_key,
			    const char *errno_name_key)
{
	const char *name = json_strict_string(s, key, 64);
	bool has_errno, has_name;
	int64_t number = EPERM;
	char shown[80];

	has_errno = json_strict_int(s, errno_key, 0, ERRNO_MAX, &number);
	has_name = json_strict_string(s, errno_name_key, 32) != NULL;
	if (!name) {
		(void)json_strict_fail(s, key, "is missing");
		return SCMP_ACT_KILL_PROCESS;
	}
	/* An error's name alone would take a table of all error numbers; engines write both. */
	if (has_name && !has_errno)
		(void)json_strict_fail(s, errno_name_key, "needs the number too, as %s", errno_key);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		if (!actions[i].supported)
			(void)json_strict_fail(s, key,
					       "%s needs a supervising process and is not "
					       "supported",
					       name);
		if (actions[i].action != SCMP_ACT_ERRNO(0))
			return actions[i].action;
		return SCMP_ACT_ERRNO((uint32_t)number);
	}
	(void)json_strict_fail(s, key, "unknown action \"%s\"",
			       util_escape(name, shown, sizeof(shown)));
	return SCMP_ACT_KILL_PROCESS;
}

static void read_arg(struct json_strict *s, struct seccomp_arg *ret)
{
	int64_t index = -1, value = 0, value_two = 0;
	const char *op;
	char shown[80];

	if (!json_strict_int(s, "index", 0, 5, &index) && s->status == 0)
		(void)json_strict_fail(s, "index", "is missing");
	if (!json_strict_int(s, "value", 0, INT64_MAX, &value) && s->status == 0)
		(void)json_strict_fail(s, "value", "is missing");
	(void)json_strict_int(s, "valueTwo", 0, INT64_MAX, &value_two);
	op = json_strict_string(s, "op", 64);
	if (!op && s->status == 0)
		(void)json_strict_fail(s, "op", "is missing");
	for (size_t i = 0; op && i < ARRAY_SIZE(ops); i++) {
		if (strcmp(ops[i].name, op) != 0)
			continue;
		*ret = (struct seccomp_arg){.index = (uint8_t)index,
					    .op = (uint8_t)ops[i].op,
					    .value = (uint64_t)value,
					    .value_two = (uint64_t)value_two};
		(void)json_strict_end(s);
		return;
	}
	if (op)
		(void)json_strict_fail(s, "op", "unknown comparison \"%s\"",
				       util_escape(op, shown, sizeof(shown)));
}

/* Reads a rule's comparisons, which must all hold. A system call has 6 arguments, so there are at
 * most 6, unless one argument is named more than once. */
static unsigned read_args(struct json_strict *s, struct seccomp_arg ret[16], bool *ret_any)
{
	json_t *args = optional_array(s, "args", 16);
	unsigned seen = 0, n = 0;

	*ret_any = false;
	for (size_t i = 0; i < json_array_size(args); i++) {
		struct json_strict item;

		if (!json_strict_item_object(s, "args", i, &item))
			return 0;
		ret[n] = (struct seccomp_arg){0};
		read_arg(&item, &ret[n]);
		if (s->status < 0)
			return 0;
		/* runc reads it like this, and profiles rely on it: libseccomp compares an argument
		 * only once in a rule, so when an argument is named twice, one match is enough. */
		if (seen & 1u << ret[n].index)
			*ret_any = true;
		seen |= 1u << ret[n].index;
		n++;
	}
	return n;
}

static bool array_has(struct json_strict *s, const char *key, const char *wanted, size_t *ret_n)
{
	json_t *list = optional_array(s, key, 64);
	bool has = false;

	*ret_n = json_array_size(list);
	for (size_t i = 0; i < *ret_n; i++) {
		const char *name = json_strict_item_string(s, key, i, NAME_LEN_MAX);

		has |= name && wanted && strcmp(name, wanted) == 0;
	}
	return has;
}

/* Reads "MAJOR.MINOR" as one number that can be compared. rest: more may follow. */
static bool parse_version(const char *s, bool rest, unsigned long *ret)
{
	unsigned long major, minor;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	major = strtoul(s, &end, 10);
	if (*end != '.' || !isdigit((unsigned char)end[1]))
		return false;
	minor = strtoul(end + 1, &end, 10);
	*ret = major << 16 | minor;
	return major < 32768 && minor < 65536 && (rest || *end == '\0');
}

/* Whether this machine's kernel is at least the wanted version. */
static bool kernel_at_least(struct json_strict *s, const char *key, const char *wanted)
{
	unsigned long want, have = 0;
	struct utsname name;

	if (!parse_version(wanted, false, &want)) {
		(void)json_strict_fail(s, key, "must be a kernel version such as \"4.8\"");
		return false;
	}
	return uname(&name) == 0 && parse_version(name.release, true, &have) && have >= want;
}

/* Reads "includes" or "excludes": whether the rule applies to a task on this machine. */
static bool read_condition(struct json_strict *s, const char *key, bool include)
{
	struct json_strict cond;
	const char *kernel;
	bool applies = true, has;
	size_t n;

	if (json_is_null(json_strict_get(s, key)) || !json_strict_object(s, key, &cond))
		return true;
	has = array_has(&cond, "arches", "amd64", &n);
	if (n > 0 && has != include)
		applies = false;
	(void)array_has(&cond, "caps", NULL, &n);
	if (n > 0 && include)
		applies = false;
	kernel = json_strict_string(&cond, "minKernel", 32);
	if (kernel && *kernel && kernel_at_least(&cond, "minKernel", kernel) != include)
		applies = false;
	(void)json_strict_end(&cond);
	return applies;
}

static int add_rule(struct json_strict *s, struct seccomp_profile *profile,
		    const struct seccomp_rule *rule)
{
	/* The array doubles when n_rules is a power of two; making room for all rules at once would
	 * take 1 MB. */
	if ((profile->n_rules & (profile->n_rules - 1)) == 0) {
		size_t n = profile->n_rules ? 2 * profile->n_rules : 1;
		struct seccomp_rule *rules = reallocarray(profile->rules, n, sizeof(*rules));

		if (!rules)
			return json_strict_fail(s, NULL, "not enough memory");
		profile->rules = rules;
	}
	if (profile->n_rules == RULES_MAX)
		return json_strict_fail(s, NULL, "more than %d rules", RULES_MAX);
	profile->rules[profile->n_rules++] = *rule;
	return 0;
}

static int add_rules(struct json_strict *s, struct seccomp_profile *profile, int nr,
		     uint32_t action, const struct seccomp_arg *args, unsigned n_args, bool any)
{
	struct seccomp_rule rule = {.nr = nr, .action = action};
	int r = 0;

	if (!any) {
		rule.n_args = n_args;
		for (unsigned i = 0; i < n_args; i++)
			rule.args[i] = args[i];
		return add_rule(s, profile, &rule);
	}
	rule.n_args = 1;
	for (unsigned i = 0; i < n_args && r == 0; i++) {
		rule.args[0] = args[i];
		r = add_rule(s, profile, &rule);
	}
	return r;
}

/* The number of a system call's name; -1 when only another architecture has the call, or after an
 * error. */
static int read_number(struct json_strict *s, const char *key, ssize_t i, const char *name)
{
	int nr = name ? seccomp_number(name) : -ENOENT;
	char shown[80];

	if (nr >= 0 || nr == -ENOTSUP || !name)
		return nr >= 0 ? nr : -1;
	(void)util_escape(name, shown, sizeof(shown));
	if (i >= 0)
		(void)json_strict_item_fail(s, key, (size_t)i, "unknown syscall \"%s\"", shown);
	else
		(void)json_strict_fail(s, key, "unknown syscall \"%s\"", shown);
	return -1;
}

/* Reads one member of "syscalls": several names with one action and one set of comparisons. */
static int read_syscalls(struct json_strict *s, struct seccomp_profile *profile)
{
	struct seccomp_arg args[16];
	unsigned n_args;
	uint32_t action;
	bool any, applies;
	const char *single;
	json_t *names;
	int nr;

	action = read_action(s, "action", "errnoRet", "errno");
	n_args = read_args(s, args, &any);
	(void)json_strict_note(s, "comment", 4096);
	applies = read_condition(s, "includes", true);
	applies &= read_condition(s, "excludes", false);
	single = json_strict_string(s, "name", NAME_LEN_MAX);
	names = json_strict_array(s, "names", NAMES_MAX);
	if (s->status < 0)
		return s->status;
	if (single && names)
		return json_strict_fail(s, "name", "cannot be given together with names");
	if (!single && json_array_size(names) == 0)
		return json_strict_fail(s, "names", names ? "is empty" : "is missing");
	/* A rule for other machines may name calls that libseccomp does not know on this one. */
	if (!applies)
		return json_strict_end(s);
	if (single) {
		nr = read_number(s, "name", -1, single);
		if (nr >= 0)
			(void)add_rules(s, profile, nr, action, args, n_args, any);
	}
	for (size_t i = 0; i < json_array_size(names) && s->status == 0; i++) {
		const char *name = json_strict_item_string(s, "names", i, NAME_LEN_MAX);

		nr = read_number(s, "names", (ssize_t)i, name);
		if (nr >= 0)
			(void)add_rules(s, profile, nr, action, args, n_args, any);
	}
	return json_strict_end(s);
}

/* Only x86-64 code runs, whatever other architectures a profile lists: calls of any other kill the
 * task. */
static void read_architectures(struct json_strict *s)
{
	json_t *list = optional_array(s, "architectures", 64);
	bool native = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_strict_item_string(s, "architectures", i, NAME_LEN_MAX);

		if (name && strncmp(name, "SCMP_ARCH_", 10) != 0)
			(void)json_strict_item_fail(s, "architectures", i,
						    "must be a name such as SCMP_ARCH_X86_64");
		native |= name && strcmp(name, "SCMP_ARCH_X86_64") == 0;
	}
	if (list && json_array_size(list) > 0 && !native && s->status == 0)
		(void)json_strict_fail(s, "architectures",
				       "lacks SCMP_ARCH_X86_64, this machine's");
	list = optional_array(s, "archMap", 64);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_strict item;

		if (!json_strict_item_object(s, "archMap", i, &item))
			return;
		(void)json_strict_string(&item, "architecture", NAME_LEN_MAX);
		(void)optional_array(&item, "subArchitectures", 64);
		(void)json_strict_end(&item);
	}
}

/* The flags are about loading the filter, not about its rules. They have no effect here, because
 * the sandbox has one thread when it loads the filter. */
static void read_flags(struct json_strict *s)
{
	static const char *const known[] = {
		"SECCOMP_FILTER_FLAG_TSYNC",	   "SECCOMP_FILTER_FLAG_LOG",
		"SECCOMP_FILTER_FLAG_SPEC_ALLOW",  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
		"SECCOMP_FILTER_FLAG_TSYNC_ESRCH",
	};
	json_t *list = optional_array(s, "flags", 16);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_strict_item_string(s, "flags", i, NAME_LEN_MAX);
		bool found = false;

		for (size_t k = 0; name && k < ARRAY_SIZE(known); k++)
			found |= strcmp(known[k], name) == 0;
		if (name && !found)
			(void)json_strict_item_fail(s, "flags", i, "unknown flag");
	}
}

int policy_seccomp_read(struct json_strict *s, struct seccomp_profile *ret)
{
	json_t *list;

	ret->default_action = read_action(s, "defaultAction", "defaultErrnoRet", "defaultErrno");
	read_architectures(s);
	read_flags(s);
	list = json_strict_array(s, "syscalls", SYSCALLS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_strict item;

		if (json_strict_item_object(s, "syscalls", i, &item))
			(void)read_syscalls(&item, ret);
		if (s->status < 0)
			return s->status;
	}
	/* A filter without a rule would refuse everything, or nothing. */
	if (s->status == 0 && ret->n_rules == 0)
		return json_strict_fail(s, "syscalls", "lists no syscall that applies here");
	return json_strict_end(s);
}
