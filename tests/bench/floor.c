/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor [--like PID] [--raw] KIB N: what a start by clone cannot be faster than.
 *
 * A process that holds nothing but memory clones itself into the seven namespaces of a
 * sandbox; the child notes the time and exits. N times: from before the clone to the
 * child's first instruction, and to the end of the wait for it. N 0: one clone for each
 * line of stdin, so that the caller can take turns with other things.
 *
 * KIB of memory are touched, in one mapping of small pages. --like PID has the shape of
 * that process instead: its mappings one by one, of each the pages that a clone copies
 * the tables of, huge ones huge, and a mount table as long as its own. Of a file's pages
 * these are only those in a mapping that has been written to.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define SEVEN                                                                                      \
	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP)

struct mapping {
	unsigned long start, end, rss_kib, anon_kib, huge_kib, inode;
	char perms[5], name[64];
};

struct sample {
	uint64_t first, whole;
};

static unsigned n_mappings;
static unsigned long total_kib;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Asks for one page more and gives it back; without a gap the kernel would merge neighbours into
 * one mapping. */
static void add_mapping(const struct mapping *m, int file)
{
	size_t size = m->end - m->start;
	int prot = (m->perms[0] == 'r' ? PROT_READ : 0) | (m->perms[1] == 'w' ? PROT_WRITE : 0) |
		   (m->perms[2] == 'x' ? PROT_EXEC : 0);
	int flags = m->perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	char *at = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE,
			flags | MAP_NORESERVE | (m->inode ? 0 : MAP_ANONYMOUS),
			m->inode ? file : -1, 0);

	if (at == MAP_FAILED || munmap(at + size, PAGE) < 0)
		die("mmap");
	if (!m->inode)
		(void)madvise(at, size, m->huge_kib ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (size_t i = 0; m->anon_kib && i < size && i < m->rss_kib * 1024; i += PAGE) {
		if (i < m->anon_kib * 1024)
			at[i] = 1;
		else
			(void)*(volatile char *)(at + i);
	}
	if (mprotect(at, size, prot) < 0)
		die("mprotect");
	n_mappings++;
	total_kib += m->anon_kib ? m->rss_kib : 0;
}

/* Reads a mapping's first line, "START-END PERMS OFFSET DEVICE INODE NAME". */
static bool read_head(const char *line, struct mapping *m)
{
	char *at;

	if (!strchr("0123456789abcdef", line[0]))
		return false;
	*m = (struct mapping){.start = strtoul(line, &at, 16)};
	m->end = strtoul(at + 1, &at, 16);
	(void)snprintf(m->perms, sizeof(m->perms), "%s", at + 1);
	at += 6;
	at += strcspn(at, " ") + 1;
	at += strcspn(at, " ") + 1;
	m->inode = strtoul(at, &at, 10);
	(void)snprintf(m->name, sizeof(m->name), "%s", at + strspn(at, " "));
	return true;
}

static void read_kib(const char *line, const char *key, unsigned long *ret)
{
	if (!strncmp(line, key, strlen(key)))
		*ret = strtoul(line + strlen(key), NULL, 10);
}

static void copy_mappings(const char *pid)
{
	struct mapping m = {0};
	char path[64], line[4600];
	int file = memfd_create("floor", MFD_CLOEXEC);
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	f = fopen(path, "re");
	/* Larger than any of the mappings, because a page behind the file's end cannot be
	 * touched. */
	if (!f || file < 0 || ftruncate(file, 1L << 36) < 0)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (read_head(line, &m))
			continue;
		read_kib(line, "Rss:", &m.rss_kib);
		read_kib(line, "Anonymous:", &m.anon_kib);
		read_kib(line, "AnonHugePages:", &m.huge_kib);
		if (strncmp(line, "VmFlags:", 8) != 0) /* the last line of each mapping */
			continue;
		/* This process has a stack and the kernel's own mappings already. */
		if (m.name[0] != '[' || !strncmp(m.name, "[heap]", 6) ||
		    !strncmp(m.name, "[anon", 5))
			add_mapping(&m, file);
	}
	(void)fclose(f);
	(void)close(file);
	if (!n_mappings) {
		errno = ESRCH;
		die(path);
	}
}

static unsigned count_mounts(const char *pid)
{
	char path[64];
	unsigned n = 0;
	FILE *f;
	int c;

	(void)snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	(void)fclose(f);
	return n;
}

/* An empty root in a mount namespace of its own, so that the clone copies this mount table and not
 * the host's. */
static void make_mounts(unsigned n)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("floor", "/tmp", "tmpfs", 0, NULL) < 0 || chdir("/tmp") < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		die("a mount table of its own");
	for (unsigned i = 1; i < n; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/%u", i);
		if (mkdir(path, 0755) < 0 || mount(path, path, NULL, MS_BIND, NULL) < 0)
			die("bind mount");
	}
}

static struct sample clone_once(volatile uint64_t *first)
{
	struct clone_args args = {.flags = SEVEN, .exit_signal = SIGCHLD};
	uint64_t begin = now_ns();
	struct sample s;
	int status;
	long pid;

	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		*first = now_ns();
		_exit(0);
	}
	if (pid < 0)
		die("clone3");
	while (waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
		;
	s.whole = now_ns() - begin;
	s.first = *first - begin;
	if (status != 0) {
		errno = ECHILD;
		die("the clone");
	}
	return s;
}

static int by_first(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static int by_whole(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->whole > y->whole) - (x->whole < y->whole);
}

static void print_summary(struct sample *s, size_t n)
{
	size_t p50 = (n * 50 + 99) / 100 - 1, p99 = (n * 99 + 99) / 100 - 1;

	printf("%lu KiB in %u mappings, n %zu:", total_kib, n_mappings, n);
	qsort(s, n, sizeof(*s), by_first);
	printf(" first p50 %.3f ms, p99 %.3f ms;", (double)s[p50].first / 1e6,
	       (double)s[p99].first / 1e6);
	qsort(s, n, sizeof(*s), by_whole);
	printf(" with exit and wait p50 %.3f ms, p99 %.3f ms\n", (double)s[p50].whole / 1e6,
	       (double)s[p99].whole / 1e6);
}

static void serve(volatile uint64_t *first)
{
	char line[16];

	printf("%lu %u\n", total_kib, n_mappings);
	while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin)) {
		struct sample s = clone_once(first);

		printf("%" PRIu64 " %" PRIu64 "\n", s.first, s.whole);
	}
}

int main(int argc, char **argv)
{
	const char *like = NULL;
	bool raw = false;
	struct sample *samples;
	volatile uint64_t *first;
	unsigned long kib, n;

	for (; argc > 1 && !strncmp(argv[1], "--", 2); argc--, argv++) {
		if (!strcmp(argv[1], "--raw")) {
			raw = true;
		} else if (!strcmp(argv[1], "--like") && argc > 2) {
			like = argv[2];
			argc--, argv++;
		} else {
			break;
		}
	}
	if (argc != 3) {
		fputs("usage: floor [--like PID] [--raw] KIB N\n", stderr);
		return 2;
	}
	kib = strtoul(argv[1], NULL, 10);
	n = strtoul(argv[2], NULL, 10);
	first = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	samples = calloc(n ? n : 1, sizeof(*samples));
	if (first == MAP_FAILED || !samples)
		die("memory");
	if (like) {
		unsigned mounts = count_mounts(like);

		copy_mappings(like);
		make_mounts(mounts);
	} else if (kib) {
		add_mapping(&(struct mapping){.end = kib * 1024,
					      .rss_kib = kib,
					      .anon_kib = kib,
					      .perms = "rw-p"},
			    -1);
	}
	if (n == 0) {
		serve(first);
		return 0;
	}
	/* not measured: the first clone has to do what the others find done */
	(void)clone_once(first);
	for (unsigned long i = 0; i < n; i++) {
		samples[i] = clone_once(first);
		if (raw)
			printf("%" PRIu64 " %" PRIu64 "\n", samples[i].first, samples[i].whole);
	}
	if (!raw)
		print_summary(samples, n);
	return 0;
}
