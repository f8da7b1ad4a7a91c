// SPDX-License-Identifier: Apache-2.0
/*
 * Starts scripts/pip-index. It reads the configuration of pip with the rights of whoever builds; as
 * root it then becomes a user whom nothing else on this machine has, before it answers the first
 * request out of a sandbox.
 */
#include "supervisor/ctl/pip_index.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/dir.h"
#include "sandbox/sandbox.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/state_dir.h"

#define SETTINGS_MAX (1u << 20)

/* In the child: does not return. */
static void __attribute__((noreturn)) index_exec(const char *verb, int in, int out)
{
	char script[PATH_MAX], user[16];
	sigset_t none;

	(void)snprintf(script, sizeof(script), "%s/pip-index", store_libexec_dir());
	(void)snprintf(user, sizeof(user), "%u",
		       sandbox_host_id(SANDBOX_OWNER_BUILD, SANDBOX_INDEX_UID));
	/* Ctrl-C is for the build, which ends first: its index goes with it. */
	(void)signal(SIGINT, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    (in < 0 || dup2(in, STDIN_FILENO) >= 0) && dup2(out, STDOUT_FILENO) >= 0)
		(void)execl(script, script, verb, "--user", user, NULL);
	dprintf(STDERR_FILENO, "sandboxctl: %s, which Debian's python3 runs: %s\n", script,
		strerror(errno));
	_exit(125);
}

static pid_t index_fork(const char *verb, int in, int out)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		index_exec(verb, in, out);
	return pid;
}

/* At most SETTINGS_MAX bytes, up to the other side's end. */
static int read_settings(int fd, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *text = malloc(SETTINGS_MAX);
	size_t len = 0;

	if (!text)
		return err_set(e, ERR_SYSTEM, ENOMEM, "pip-index");
	while (len < SETTINGS_MAX) {
		ssize_t n = read(fd, text + len, SETTINGS_MAX - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_SYSTEM, errno, "pip-index");
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

int pip_index_settings(json_t **ret, struct err *e)
{
	_cleanup_fd_ int from = -1, to = -1;
	_cleanup_free_ char *text = NULL;
	int fds[2], status = 0, r;
	size_t len = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	from = fds[0];
	to = fds[1];
	pid = index_fork("settings", -1, to);
	if (pid < 0)
		return err_set(e, ERR_SYSTEM, errno, "fork");
	util_close_fd(&to);
	r = read_settings(from, &text, &len, e);
	util_close_fd(&from);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	if (status != 0)
		return err_set(e, ERR_INPUT, 0,
			       "this machine's configuration of pip cannot be used, see above");
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(*ret) || !json_is_object(json_object_get(*ret, "environment")) ||
	    !json_is_array(json_object_get(*ret, "find_links"))) {
		json_decref(*ret);
		return err_set(e, ERR_INTERNAL, 0, "pip-index does not say what a build is told");
	}
	return 0;
}

pid_t pip_index_answer(int sock)
{
	_cleanup_fd_ int fd = sock;

	return index_fork("serve", fd, STDERR_FILENO);
}

int pip_index_start(struct pip_index *ret, struct err *e)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "a socket for the package index");
	ours = pair[0];
	theirs = pair[1];
	ret->pid = index_fork("serve", theirs, STDERR_FILENO);
	if (ret->pid < 0) {
		ret->pid = 0;
		return err_set(e, ERR_SYSTEM, errno, "fork");
	}
	ret->sock = TAKE_FD(ours);
	return 0;
}

void pip_index_stop(struct pip_index *index)
{
	util_close_fd(&index->sock);
	if (!index->pid)
		return;
	/* It may be waiting for a server that does not answer; not reaped, so the pid is right. */
	(void)kill(index->pid, SIGTERM);
	while (waitpid(index->pid, NULL, 0) < 0 && errno == EINTR)
		;
	index->pid = 0;
}

static bool has_files(const char *folder)
{
	_cleanup_fd_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_names_ struct dir_names names = {0};

	return dir >= 0 && dir_names_read(dir, SIZE_MAX, &names) == 0 && names.n > 0;
}

int pip_index_told(json_t **ret, struct err *e)
{
	json_auto_t *told = NULL;
	const json_t *folder;
	size_t i;
	int r = pip_index_settings(&told, e);

	*ret = NULL;
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(told, "find_links"), i,
			   folder) if (has_files(json_string_value(folder)))
		ctl_say("pip's find-links: the archives in %s are not sent along",
			json_string_value(folder));
	(void)json_object_del(told, "find_links");
	if (!json_is_false(json_object_get(told, "no_index")) &&
	    json_integer_value(json_object_get(told, "pages")) == 0)
		return 0;
	*ret = json_incref(told);
	return 0;
}

int pip_index_begin(struct pip_index *index, json_t **ret, struct err *e)
{
	int r = pip_index_told(ret, e);

	if (r < 0 || !*ret)
		return r;
	r = pip_index_start(index, e);
	if (r < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return r;
}
