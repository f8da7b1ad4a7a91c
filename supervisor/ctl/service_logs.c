// SPDX-License-Identifier: Apache-2.0
/* sandboxctl service logs: what the replicas of a service print, as one. */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/service.h"

/* Logs that are read at a time: of the replicas, and of those that have just ended. */
#define LOGS_MAX 256
/* How often it is looked whether there are other runs. */
#define LOOK_MS 500

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

struct one {
	struct follow f;
	char label[64]; /* "www.0" */
	bool over;
};

struct logs {
	struct ctl *ctl;
	struct service_options o;
	struct service_name name;
	bool follow;
	struct one *all;
	unsigned n;
};

static bool is_known(const struct logs *l, const char *run)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->all && strcmp(l->all[i].f.id, run) == 0)
			return true;
	return false;
}

/* One that is over gives its place to another one. */
static struct one *place(struct logs *l)
{
	if (l->n < LOGS_MAX)
		return &l->all[l->n++];
	for (unsigned i = 0; i < l->n; i++)
		if (l->all[i].over)
			return &l->all[i];
	return NULL;
}

static int add(struct logs *l, const json_t *replica, const char *run)
{
	struct log_client_options opts;
	struct one *one;
	int r;

	if (!*run || is_known(l, run))
		return 0;
	one = place(l);
	if (!one)
		return 0;
	*one = (struct one){0};
	(void)snprintf(one->label, sizeof(one->label), "%s.%lld", ctl_text(replica, "service"),
		       (long long)json_integer_value(json_object_get(replica, "number")));
	log_client_defaults(&opts);
	/* As one: what they say on stderr too. */
	opts.err_fd = opts.out_fd;
	opts.escape_err = opts.escape_out;
	opts.label = one->label;
	/* Whole lines, for others write there too. */
	opts.out_turn = opts.err_turn = &turn;
	r = follow_init(&one->f, l->ctl, run, &opts);
	one->f.live = l->follow;
	return r;
}

/* The runs that there are now, and those before them. */
static int look(struct logs *l, struct err *e)
{
	json_auto_t *reply = NULL;
	const json_t *r;
	json_t *s;
	size_t i;
	int res = ctl_ask(l->ctl,
			  json_pack("{s:s, s:s, s:s, s:s}", "op", "service_info", "project",
				    l->o.project, "app", l->name.app, "service", l->name.name),
			  "service", JSON_OBJECT, &reply, &s, e);

	if (res < 0)
		return res;
	json_array_foreach(json_object_get(s, "replicas"), i, r)
	{
		if (l->name.replica >= 0 &&
		    json_integer_value(json_object_get(r, "number")) != l->name.replica)
			continue;
		res = add(l, r, ctl_text(r, "last_run"));
		if (res == 0)
			res = add(l, r, ctl_text(r, "run"));
		if (res < 0)
			return err_set(e, ERR_SYSTEM, -res, "cannot read logs");
	}
	return 0;
}

/* What has come of it. -EPIPE: nobody reads our output any longer. */
static int copy(struct logs *l, struct one *one)
{
	struct err e = {0};
	int r;

	if (one->f.sock < 0 && follow_attach(&one->f, &e) < 0) {
		/* Its log was removed; or the daemon is away, and is asked again. */
		one->over |= e.code == ERR_NOT_FOUND;
		return 0;
	}
	r = log_client_read(&one->f.log, one->f.sock, &e);
	if (r == -EAGAIN || r == -EPIPE)
		return r == -EPIPE ? r : 0;
	if (r == LOG_CLIENT_END && (one->f.log.complete || !l->follow))
		one->over = true;
	else
		log_client_reconnect(&one->f.log);
	util_close_fd(&one->f.sock);
	return 0;
}

static int copy_all(struct logs *l)
{
	struct pollfd fds[LOGS_MAX];
	bool left = false;
	int r = 0;

	for (unsigned i = 0; i < l->n && r == 0; i++)
		if (!l->all[i].over)
			r = copy(l, &l->all[i]);
	for (unsigned i = 0; i < l->n; i++) {
		fds[i] = (struct pollfd){.fd = l->all[i].over ? -1 : l->all[i].f.sock,
					 .events = POLLIN};
		left |= !l->all[i].over;
	}
	if (r < 0 || (!left && !l->follow))
		return r < 0 ? r : 1;
	(void)poll(fds, l->n, LOOK_MS);
	return 0;
}

static int run(struct logs *l)
{
	uint64_t looked = 0;
	struct err e = {0};
	int r = look(l, &e);

	while (r == 0) {
		r = copy_all(l);
		if (r == 0 && l->follow && util_monotonic_ns() - looked > LOOK_MS * MSEC) {
			r = look(l, &e);
			/* A daemon that is just away is asked again. */
			if (r < 0 && e.code != ERR_NOT_FOUND)
				r = 0;
			looked = util_monotonic_ns();
		}
	}
	if (r == -EPIPE)
		return 128 + SIGPIPE;
	return r < 0 ? ctl_fail(&e) : 0;
}

int service_logs(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"app", required_argument, NULL, 'a'},
						{"follow", no_argument, NULL, 'f'},
						{0}};
	struct logs l = {.ctl = ctl, .o.project = "default"};
	struct err e = {0};
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, ":f", options, NULL)) != -1) {
		if (c == 'p')
			l.o.project = optarg;
		else if (c == 'a')
			l.o.app = optarg;
		else if (c == 'f')
			l.follow = true;
		else
			return ctl_bad_option("service", argv);
	}
	if (argc - optind != 1)
		return ctl_bad_count("service", "logs", 1, 1);
	service_folder_app(l.o.own_app);
	if (service_name_read(&l.o, argv[optind], &l.name, &e) < 0)
		return ctl_fail(&e);
	l.all = calloc(LOGS_MAX, sizeof(*l.all));
	if (!l.all) {
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "cannot read logs");
		return ctl_fail(&e);
	}
	status = run(&l);
	for (unsigned i = 0; i < l.n; i++)
		follow_clear(&l.all[i].f);
	free(l.all);
	return status;
}
