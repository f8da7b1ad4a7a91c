// SPDX-License-Identifier: Apache-2.0
/*
 * The files that are mapped into a stopped process. criu opens them by the names that a checkpoint
 * says, with rights and files of its own; so each must be one that a task has anyway: of the image,
 * of its package, the heap's, or memory that was made by the user that the process is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sandbox/fork/inject_internal.h"
#include "sandbox/sandbox.h"

/* A line of /proc/PID/maps. */
struct mapping {
	unsigned long start, end, inode, major, minor;
	bool shared;
};

/* Where a mapped file may be. memory: the kernel's own mount of memory that has no name. */
struct places {
	uint64_t image, heap, work, memory;
	uid_t user;
	int links; /* the folder /proc/PID/map_files */
	const char *what;
};

static int check_mapping(const struct places *p, const struct mapping *m, struct err *e)
{
	struct statx st;
	char name[48];

	(void)snprintf(name, sizeof(name), "%lx-%lx", m->start, m->end);
	if (statx(p->links, name, 0, STATX_BASIC_STATS | STATX_MNT_ID, &st) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s: the file that is mapped at %lx", p->what,
			       m->start);
	if (!(st.stx_mask & STATX_MNT_ID))
		return err_set(e, ERR_SYSTEM, ENOTSUP, "%s: mounts have no numbers", p->what);
	/* On a read-only mount: what is shared cannot be made writable. */
	if (st.stx_mnt_id == p->image && S_ISREG(st.stx_mode))
		return 0;
	if (st.stx_mnt_id == p->heap && !m->shared)
		return 0;
	/* A library of the package. Where a checkpoint is made, /work is read-only; where one is
	 * restored, nothing has been written there before it. */
	if (st.stx_mnt_id == p->work && S_ISREG(st.stx_mode) && !m->shared)
		return 0;
	/* The init has some that is root's, its log of criu for one. */
	if (st.stx_mnt_id == p->memory && st.stx_uid == p->user)
		return 0;
	return err_set(
		e, ERR_INPUT, 0,
		"%s: a file that is not the image's is mapped (%s, device %lx:%lx, inode %lu)",
		p->what, m->shared ? "shared" : "private", m->major, m->minor, m->inode);
}

static int find_places(struct places *p, struct err *e)
{
	_cleanup_fd_ int memory = memfd_create("mount", MFD_CLOEXEC);
	struct statx st;

	p->image = inject_mount_of(AT_FDCWD, "/");
	p->heap = inject_mount_of(AT_FDCWD, "/run/heap");
	p->work = inject_mount_of(AT_FDCWD, "/work");
	/* The number of one of the kernel's first mounts: it may be 0. */
	if (!p->image || !p->heap || !p->work || memory < 0 ||
	    statx(memory, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 ||
	    !(st.stx_mask & STATX_MNT_ID))
		return err_set(e, ERR_SYSTEM, errno, "%s: the mounts of mapped files", p->what);
	p->memory = st.stx_mnt_id;
	return 0;
}

static bool parse_line(const char *line, struct mapping *m)
{
	char *at;

	m->start = strtoul(line, &at, 16);
	if (*at != '-')
		return false;
	m->end = strtoul(at + 1, &at, 16);
	if (*at != ' ' || strlen(at) < 6)
		return false;
	m->shared = at[4] == 's';
	if (at[5] != ' ')
		return false;
	(void)strtoul(at + 5, &at, 16);
	m->major = strtoul(at, &at, 16);
	if (*at != ':')
		return false;
	m->minor = strtoul(at + 1, &at, 16);
	m->inode = strtoul(at, &at, 10);
	return *at == ' ' || *at == '\n';
}

static int check_lines(const struct places *p, FILE *maps, struct err *e)
{
	struct mapping m, last = {0};
	/* Whole lines, however long: a name has no line of its own. */
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (r == 0 && getline(&line, &size, maps) > 0) {
		if (!parse_line(line, &m))
			return err_set(e, ERR_SYSTEM, EPROTO, "%s: its mappings", p->what);
		/* No file. */
		if (!m.inode && !m.major && !m.minor && !m.shared)
			continue;
		/* The parts of a library are beside each other. */
		if (m.start == last.end && m.inode == last.inode && m.major == last.major &&
		    m.minor == last.minor && m.shared == last.shared) {
			last = m;
			continue;
		}
		r = check_mapping(p, &m, e);
		last = m;
	}
	if (r == 0 && ferror(maps))
		r = err_set(e, ERR_SYSTEM, errno, "%s: its mappings", p->what);
	return r;
}

int inject_check_maps(int proc, pid_t pid, uint32_t owner, const char *what, struct err *e)
{
	struct places p = {.user = sandbox_host_id(owner, SANDBOX_UID), .what = what};
	_cleanup_fd_ int links = -1;
	char path[32];
	FILE *maps;
	int fd, r = find_places(&p, e);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%d/map_files", (int)pid);
	links = openat(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%d/maps", (int)pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	maps = fd < 0 ? NULL : fdopen(fd, "r");
	p.links = links;
	if (!maps || links < 0)
		r = err_set(e, ERR_SYSTEM, errno, "%s: its mappings", what);
	else
		r = check_lines(&p, maps, e);
	if (maps)
		(void)fclose(maps);
	else
		util_close_fd(&fd);
	return r;
}
