// SPDX-License-Identifier: Apache-2.0
/*
 * A front with two more capabilities: 21-serve.bats runs it in the place of sandboxd-front. What
 * sandboxctl runs with the label "serve" is a run that serves; its socket is the one that came last
 * by the op "serve", and serves one run. What it runs with the label "lasts" has no deadline, and a
 * log that keeps its last bytes.
 */
#include <string.h>

#include "supervisor/front/api/verbs.h"
#include "supervisor/front/front.h"
#include "supervisor/front/run/source.h"
#include "wire/role_program.h"

static int sock = -1;

static int verb_serve(struct call *c, struct err *e)
{
	int r = call_end(c, e);

	if (r < 0)
		return r;
	if (c->n_fds != 1)
		return err_set(e, ERR_INPUT, 0, "one socket must come along");
	util_close_fd(&sock);
	sock = TAKE_FD(c->fds[0]);
	call_message(c, "it waits for its run");
	return 0;
}

static bool serve_is_of(const struct task_record *rec)
{
	return strcmp(rec->label, "serve") == 0;
}

static bool lasts_is_of(const struct task_record *rec)
{
	return strcmp(rec->label, "lasts") == 0;
}

static int job(struct front *f, struct task *t, char **ret, struct err *e)
{
	return operator_source.job(f, t, ret, e);
}

static int serve_socket(struct front *f, struct task *t, int *ret, struct err *e)
{
	(void)f;
	(void)t;
	if (sock < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "no socket has come");
	*ret = TAKE_FD(sock);
	return 0;
}

static const struct verb verbs[] = {{.op = "serve", .run = verb_serve, .fds_max = 1}, {0}};
static const struct run_source sources[] = {{.name = "serve",
					     .flags = RUN_SERVES,
					     .is_of = serve_is_of,
					     .job = job,
					     .serve = serve_socket},
					    {.name = "lasts",
					     .flags = RUN_NO_DEADLINE | RUN_RING_LOG,
					     .is_of = lasts_is_of,
					     .job = job}};
static const struct capability serve = {.name = "serve", .source = &sources[0], .verbs = verbs};
static const struct capability lasts = {.name = "lasts", .source = &sources[1]};

int main(int argc, char **argv, char **envp)
{
	const struct capability *list[CAPABILITIES_MAX + 1] = {&serve, &lasts};
	struct front_config cfg = {0};

	for (unsigned i = 0; front_capabilities[i]; i++)
		list[i + 2] = front_capabilities[i];
	front_config_read(&cfg, argc, argv, envp);
	return front_main(&cfg, list) == 0 ? 0 : 1;
}
