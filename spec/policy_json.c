// SPDX-License-Identifier: Apache-2.0
#include "spec/policy_json.h"

#include <stdio.h>
#include <string.h>

#include "spec/task_spec.h"

#define DESCRIPTION_MAX 1024
#define PARKED_DEFAULT 4

/* What a task gets where its policy does not say. */
static const struct limits limits_default = {
	.memory = 320ULL << 20,
	.disk = 64ULL << 20,
	.log_bytes = 16ULL << 20,
	.cpu_milli = 1000,
	.pids = 64,
	.timeout_s = 3600,
	.nofile = 1024,
};

/* A maximum that is not given is the limit itself: then a task may only lower it. */
static int read_limits(struct json_strict *top, struct policy_head *head)
{
	struct json_strict limits, max;
	unsigned max_set = 0;

	head->limits = limits_default;
	head->limits_max = limits_default;
	if (!json_strict_object(top, "limits", &limits))
		return top->status;
	/* read below; asked for here so that the end of this reader knows the key */
	(void)json_strict_get(&limits, "max");
	(void)task_limits_read(&limits, &head->limits);
	head->limits_max = head->limits;
	if (json_strict_object(&limits, "max", &max))
		max_set = task_limits_read(&max, &head->limits_max);
	if (top->status < 0)
		return top->status;
	for (enum limit_id i = 0; i < LIMIT_N; i++)
		if ((max_set & LIMIT_BIT(i)) &&
		    limit_get(&head->limits, i) > limit_get(&head->limits_max, i))
			return json_strict_fail(&max, limit_table[i].key,
						"is less than limits.%s, which is what a task gets",
						limit_table[i].key);
	return 0;
}

static void read_fork(struct json_strict *top, struct policy_head *head)
{
	int64_t parked = PARKED_DEFAULT;
	struct json_strict fork;

	if (json_strict_object(top, "fork", &fork)) {
		(void)json_strict_int(&fork, "parked", 0, POLICY_PARKED_MAX, &parked);
		(void)json_strict_end(&fork);
	}
	head->parked = (uint8_t)parked;
}

static int read_name(struct json_strict *top, const char *name, const char *fallback,
		     struct policy_head *head)
{
	const char *own = json_strict_string(top, "name", POLICY_NAME_MAX - 1);

	if (own && !util_is_name(own))
		return json_strict_fail(top, "name",
					"must be a name of lower-case letters, digits, '.', '_' "
					"and '-'");
	if (!name)
		name = own ? own : fallback;
	if (top->status == 0 && !util_is_name(name))
		return json_strict_fail(top, NULL,
					"needs a \"name\" of lower-case letters, digits, '.', '_' "
					"and '-', because its file is not called by such a name");
	(void)snprintf(head->name, sizeof(head->name), "%s", name);
	return top->status;
}

static int read_document(json_t *doc, const char *what, const char *name, const char *fallback,
			 struct policy_head *head, struct seccomp_profile *profile, struct err *e)
{
	bool bare = json_object_get(doc, "defaultAction") != NULL, lasting = false;
	struct json_strict top, part;

	if (json_strict_begin(&top, what, doc, e) < 0)
		return top.status;
	if (bare) {
		(void)snprintf(head->name, sizeof(head->name), "%s", name ? name : fallback);
		head->limits = head->limits_max = limits_default;
		head->parked = PARKED_DEFAULT;
		if (!util_is_name(head->name))
			return json_strict_fail(&top, NULL, "needs a name: use --name NAME");
		return policy_seccomp_read(&top, profile);
	}
	(void)read_name(&top, name, fallback, head);
	(void)json_strict_note(&top, "description", DESCRIPTION_MAX);
	(void)read_limits(&top, head);
	(void)json_strict_bool(&top, "lasting", &lasting);
	head->lasting = lasting;
	read_fork(&top, head);
	if (json_strict_object(&top, "network", &part))
		(void)policy_network_read(&part, head);
	if (json_strict_object(&top, "seccomp", &part))
		(void)policy_seccomp_read(&part, profile);
	else if (top.status == 0)
		(void)json_strict_fail(&top, "seccomp",
				       "is missing: a policy must say which syscalls it allows");
	return json_strict_end(&top);
}

int policy_json_build(const char *what, const char *text, size_t len, const char *name,
		      const char *fallback, struct policy *ret, char **ret_file, size_t *ret_len,
		      struct err *e)
{
	struct seccomp_profile profile = {0};
	_cleanup_free_ struct sock_filter *bpf = NULL;
	_cleanup_free_ char *file = NULL;
	json_auto_t *doc = NULL;
	struct policy_head head;
	size_t n_bpf = 0;
	int r;

	/* also the padding: the policy's id is the digest of the file */
	memset(&head, 0, sizeof(head));
	r = json_strict_load(what, text, len, POLICY_JSON_MAX, &doc, e);
	if (r == 0)
		r = read_document(doc, what, name, fallback, &head, &profile, e);
	if (r == 0) {
		r = seccomp_compile(&profile, &bpf, &n_bpf, e);
		if (r < 0)
			(void)err_wrap(e, r, "%s: seccomp", what);
	}
	free(profile.rules);
	if (r < 0 || !bpf)
		return r;
	head.magic = POLICY_MAGIC;
	head.version = POLICY_VERSION;
	head.n_bpf = (uint32_t)n_bpf;
	head.size = (uint32_t)(sizeof(head) + n_bpf * sizeof(*bpf));
	file = malloc(head.size);
	if (!file)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", what);
	memcpy(file, &head, sizeof(head));
	memcpy(file + sizeof(head), bpf, n_bpf * sizeof(*bpf));
	/* The same checks as the monitor's, so that a policy which it would refuse is never
	 * installed. */
	r = policy_parse(file, head.size, ret, e);
	if (r < 0)
		return err_wrap(e, r, "%s", what);
	*ret_file = TAKE_PTR(file);
	*ret_len = head.size;
	return 0;
}
