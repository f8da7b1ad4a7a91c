// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl deploy index: the package index of deploys that come over HTTP, whose clients have no
 * way to send one along. RUN/index.sock is there as long as it runs, and RUN/index.json beside it says
 * what builds are told of pip's configuration.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/deploy.h"
#include "supervisor/ctl/pip_index.h"

#define BUILDS_MAX 16u

struct offer {
	char sock[sizeof(((struct sockaddr_un *)NULL)->sun_path)], json[256];
	unsigned n; /* that are answered */
};

/* The front alone may connect: the daemon has made the edge's folder the front's. */
static int listen_at(const struct offer *o, const char *run, int *ret, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char edge[256];
	struct stat st;

	(void)snprintf(edge, sizeof(edge), "%s/edge", run);
	if (stat(edge, &st) < 0)
		return err_set(e, ERR_UNAVAILABLE, errno,
			       "%s: there is no daemon here that serves HTTP workers", run);
	strcpy(addr.sun_path, o->sock);
	(void)unlink(o->sock);
	(void)umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chown(o->sock, st.st_uid, st.st_gid) < 0 || listen(fd, (int)BUILDS_MAX) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", o->sock);
	(void)umask(022);
	*ret = TAKE_FD(fd);
	return 0;
}

static int write_told(const struct offer *o, const json_t *told, struct err *e)
{
	char tmp[sizeof(o->json) + 8];

	(void)snprintf(tmp, sizeof(tmp), "%s.new", o->json);
	if (json_dump_file(told, tmp, JSON_COMPACT) < 0 || rename(tmp, o->json) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", o->json);
	return 0;
}

/* Until a signal ends it. */
static void answer_all(struct offer *o, int listen_fd, int signal_fd)
{
	struct signalfd_siginfo is;
	struct pollfd p[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = listen_fd}};

	for (;;) {
		p[1].events = o->n < BUILDS_MAX ? POLLIN : 0;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents && read(signal_fd, &is, sizeof(is)) == (ssize_t)sizeof(is)) {
			if (is.ssi_signo != SIGCHLD)
				return;
			while (waitpid(-1, NULL, WNOHANG) > 0)
				o->n--;
		}
		if (p[1].revents) {
			int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0 && pip_index_answer(fd) > 0)
				o->n++;
		}
	}
}

int deploy_index(struct ctl *ctl, int argc, char **argv)
{
	const char *slash = strrchr(ctl->socket_path, '/');
	_cleanup_fd_ int listen_fd = -1, signal_fd = -1;
	json_auto_t *told = NULL;
	struct offer o = {0};
	struct err e = {0};
	char run[128];
	sigset_t set;
	int r;

	if (argc > 1)
		return ctl_usage("deploy", "index takes no words, not '%s'", argv[1]);
	(void)snprintf(run, sizeof(run), "%.*s", slash ? (int)(slash - ctl->socket_path) : 1,
		       slash ? ctl->socket_path : ".");
	if (snprintf(o.sock, sizeof(o.sock), "%s/index.sock", run) >= (int)sizeof(o.sock))
		return ctl_usage("deploy", "%s: the path is too long for a socket", run);
	(void)snprintf(o.json, sizeof(o.json), "%s/index.json", run);
	r = pip_index_told(&told, &e);
	if (r == 0 && !told)
		r = err_set(&e, ERR_INPUT, 0, "pip has no index in this machine's configuration");
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (r == 0 && signal_fd < 0)
		r = err_set(&e, ERR_SYSTEM, errno, "signalfd");
	if (r == 0)
		r = listen_at(&o, run, &listen_fd, &e);
	if (r == 0)
		r = write_told(&o, told, &e);
	if (r == 0) {
		ctl_say("deploys over HTTP may ask pip's index of this machine: Ctrl-C ends that");
		answer_all(&o, listen_fd, signal_fd);
	}
	if (listen_fd >= 0) {
		(void)unlink(o.json);
		(void)unlink(o.sock);
	}
	return r < 0 ? ctl_fail(&e) : 0;
}
