// SPDX-License-Identifier: Apache-2.0
/*
 * What the host is, and whether criu works on it. criu probes the kernel for some 300 ms, and keeps
 * the answers in criu.kdat if that is on a tmpfs. So it is run here on a tmpfs of its own, once a
 * boot, and every restore is given the file. The answers depend on what criu may do, so it has the
 * same privileges here as in a restore (criu.h).
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "lib/sha256.h"
#include "sandbox/criu.h"
#include "sandbox/net.h"
#include "supervisor/monitor/monitor.h"

#define KDAT_MAX 65536
#define CRIU_CHECK_TIMEOUT_S 60
#define CRIU_CHECK_TRIES 3
/* A uid that nobody else has, so that nobody can have used up what the kernel counts by user. */
#define PROBE_UID 997

static int read_text(const char *path, char *buf, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

/* A checkpoint holds the extended state of a CPU, so it is only for this model and these
 * features. */
static int cpu_digest(char hex[65])
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	_cleanup_sha256_ struct sha256 sha = {0};
	uint8_t digest[32];
	char *line = NULL;
	size_t size = 0;

	sha256_begin(&sha);
	while (f && getline(&line, &size, f) > 0 && line[0] != '\n')
		if (strncmp(line, "vendor_id", 9) == 0 || strncmp(line, "model", 5) == 0 ||
		    strncmp(line, "cpu family", 10) == 0 || strncmp(line, "stepping", 8) == 0 ||
		    strncmp(line, "flags", 5) == 0)
			sha256_add(&sha, line, strlen(line));
	free(line);
	if (!f)
		return -EIO;
	(void)fclose(f);
	if (sha256_end(&sha, digest) < 0)
		return -ENOMEM;
	util_hex(digest, sizeof(digest), hex);
	return 0;
}

/* Runs criu, in a child with a mount namespace of its own, and writes its answer or its file to
 * out. */
static void __attribute__((noreturn)) criu_probe(const char *criu, const char *what, int out)
{
	const char *const argv[] = {"criu", "--no-default-config", "--unprivileged", what, NULL};
	static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					   "XDG_RUNTIME_DIR=/run", "CRIU_LIBS_DIR=/run", NULL};
	const uid_t id = sandbox_host_id(SANDBOX_OWNER_SHARED, PROBE_UID);
	static const struct limits limits = {.nofile = LIMIT_NOFILE_MAX};
	_cleanup_fd_ int kdat = -1;
	char buf[KDAT_MAX];
	ssize_t n;
	int status;
	pid_t pid;

	if (mount("criu", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") < 0 ||
	    chown("/run", id, id) < 0 || net_up(NULL) < 0)
		_exit(125);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		bool version = strcmp(what, "--version") == 0;

		if (dup2(version ? out : null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
			_exit(125);
		(void)alarm(CRIU_CHECK_TIMEOUT_S);
		if (criu_become(id, &limits, NULL) < 0)
			_exit(125);
		(void)util_exec(criu, argv, envp);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		_exit(pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 125);
	if (strcmp(what, "check") == 0) {
		kdat = open("/run/criu.kdat", O_RDONLY | O_CLOEXEC);
		n = kdat < 0 ? 0 : read(kdat, buf, sizeof(buf));
		if (n > 0)
			(void)util_write_all(out, buf, (size_t)n);
	}
	_exit(0);
}

static int run_criu(struct monitor *m, const char *what, char *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;
	ssize_t n;
	int p[2], status;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
			_exit(125);
		criu_probe(m->cfg->criu, what, p[1]);
	}
	(void)close(p[1]);
	while (pid > 0 && len < size && (n = read(p[0], buf + len, size - len)) > 0)
		len += (size_t)n;
	(void)close(p[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EIO;
	*ret_len = len;
	return 0;
}

/* The name of the cache in RUN, which is for this boot and this binary only. */
static void cache_name(struct monitor *m, char *name, size_t size)
{
	struct stat st = {0};

	(void)stat(m->cfg->criu, &st);
	(void)snprintf(name, size, "criu-own-%.8s-%llx-%llx", m->boot_id,
		       (unsigned long long)st.st_ino, (unsigned long long)st.st_mtim.tv_sec);
}

static void probe_criu(struct monitor *m)
{
	char name[128], version[128] = "", *kdat = NULL;
	static char buf[KDAT_MAX];
	size_t len = 0;
	int r;

	/* So that sandboxctl doctor finds it. */
	(void)util_write_file_at(m->run_fd, "criu", 0644, m->cfg->criu, strlen(m->cfg->criu));
	r = run_criu(m, "--version", version, sizeof(version) - 1, &len);
	version[strcspn(version, "\n")] = '\0';
	(void)snprintf(m->criu_version, sizeof(m->criu_version), "%.40s", version);
	if (r < 0) {
		(void)snprintf(m->criu_problem, sizeof(m->criu_problem),
			       "no checkpoints: %.150s cannot be run (%s); run scripts/criu-build",
			       m->cfg->criu, strerror(-r));
		return;
	}
	cache_name(m, name, sizeof(name));
	if (util_read_file_at(m->run_fd, name, KDAT_MAX, &kdat, &len) == 0) {
		m->kdat = kdat;
		m->kdat_len = len;
		m->criu_works = true;
		return;
	}
	/* The answer holds until the daemon's next start. So one failure is not believed: a busy
	 * machine may have had no memory or no process left for it. */
	for (int i = 0; i < CRIU_CHECK_TRIES && (i == 0 || r < 0); i++)
		r = run_criu(m, "check", buf, sizeof(buf), &len);
	if (r < 0) {
		(void)snprintf(m->criu_problem, sizeof(m->criu_problem),
			       "no checkpoints: `criu check` failed on this kernel; run "
			       "scripts/criu-build");
		return;
	}
	m->criu_works = true;
	m->kdat = malloc(len + 1);
	if (!m->kdat)
		return;
	memcpy(m->kdat, buf, len);
	m->kdat_len = len;
	(void)util_write_file_at(m->run_fd, name, 0600, buf, len);
}

int probe_host(struct monitor *m, struct err *e)
{
	struct utsname u;
	int r = read_text("/proc/sys/kernel/random/boot_id", m->boot_id, sizeof(m->boot_id));

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "boot id");
	if (uname(&u) < 0)
		return err_set(e, ERR_SYSTEM, errno, "uname");
	(void)snprintf(m->kernel, sizeof(m->kernel), "%s %s", u.release, u.version);
	r = cpu_digest(m->cpu);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "/proc/cpuinfo");
	probe_criu(m);
	if (!m->criu_works)
		msg_warn("%s", m->criu_problem);
	return 0;
}
