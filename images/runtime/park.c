/*
 * The parking helper. It is loaded into a process, moves the process's writable memory to a file,
 * and waits there to be dumped.
 *
 * CRIU writes private anonymous pages into its dump and copies each of them back at every restore.
 * Pages of a private file mapping that were not written to stay in the file. So the memory that the
 * warm interpreter has written to is written to a file and then mapped from there, privately, at
 * the same address; sandbox_park.py decides which memory that may be done to.
 *
 * Between the copy and the mapping of a range nothing may write to it. This is why the helper is
 * freestanding: between two raw system calls it runs on registers and the stack alone, and the
 * stack is never moved; it has no data, no relocations, and calls nothing outside. The process must
 * have one thread.
 */

#define _GNU_SOURCE /* dl_phdr_info */
#include <asm/unistd.h>
#include <link.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <sys/socket.h>

#ifndef __x86_64__
#error "only x86-64 has its system call instruction here"
#endif

#define PAGE 4096UL
#define WORDS (PAGE / sizeof(unsigned long))
#define CHECK_PAGES 1024UL
#define MAP_PRIVATE 0x02
#define MAP_FIXED 0x10
#define SIG_SETMASK 2
#define CLOCK_MONOTONIC 1
#define SERVE_FD 5 /* as in sandbox_job.py */
#define MADV_RANDOM 1

/* A range as sandbox_park.py fills it in; ranges are page aligned, in order of their addresses. */
struct park_range {
	unsigned long start;
	unsigned long length;
	long prot;
};

#define park_export __attribute__((visibility("default")))

static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long call4(long number, long a, long b, long c, long d)
{
	return call6(number, a, b, c, d, 0, 0);
}

static int page_is_zero(const unsigned long *page)
{
	unsigned long bits = 0;

	for (unsigned long i = 0; i < WORDS; i++)
		bits |= page[i];
	return bits == 0;
}

static long write_all(long fd, unsigned long from, unsigned long length, unsigned long offset)
{
	while (length > 0) {
		long n = call4(__NR_pwrite64, fd, (long)from, (long)length, (long)offset);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? n : -ENOSPC;
		from += (unsigned long)n;
		offset += (unsigned long)n;
		length -= (unsigned long)n;
	}
	return 0;
}

/* Pages of zeros stay holes: the file reads as zeros there. */
static long write_pages(long fd, unsigned long from, unsigned long length, unsigned long offset)
{
	unsigned long end = from + length;
	unsigned long at = from;

	while (at < end) {
		unsigned long first = at;

		while (at < end && !page_is_zero((const unsigned long *)at))
			at += PAGE;
		if (at > first) {
			long r = write_all(fd, first, at - first, offset + (first - from));

			if (r < 0)
				return r;
		}
		while (at < end && page_is_zero((const unsigned long *)at))
			at += PAGE;
	}
	return 0;
}

/* Whether every page is still mapped: the list is a little older than this call. */
static long range_check(const struct park_range *range)
{
	unsigned char resident[CHECK_PAGES];
	unsigned long done = 0;

	while (done < range->length) {
		unsigned long part = range->length - done;

		if (part > CHECK_PAGES * PAGE)
			part = CHECK_PAGES * PAGE;
		long r = call4(__NR_mincore, (long)(range->start + done), (long)part,
			       (long)resident, 0);

		if (r < 0)
			return r;
		done += part;
	}
	return 0;
}

static long range_move(long write_fd, long map_fd, const struct park_range *range,
		       unsigned long offset)
{
	/* The list itself may lie in the range. */
	unsigned long start = range->start;
	unsigned long length = range->length;
	long prot = range->prot;
	long r = range_check(range);

	if (r == 0)
		r = write_pages(write_fd, start, length, offset);
	if (r < 0)
		return r;
	r = call6(__NR_mmap, (long)start, (long)length, prot, MAP_PRIVATE | MAP_FIXED, map_fd,
		  (long)offset);
	return r < 0 && r > -4096 ? r : 0;
}

/*
 * Moves n ranges to the file, from offset on. map_fd is open for reading only, so that the mappings
 * can be made again from a file that is not writable.
 *
 * Returns 0, or -errno when the ranges cannot be moved. Some may have been moved by then, but
 * memory reads as before and the process works.
 */
park_export long park_move(long write_fd, long map_fd, const struct park_range *ranges, long n,
			   unsigned long offset)
{
	unsigned long blocked = ~0UL;
	unsigned long before = 0;
	unsigned long end = offset;
	long r;

	for (long i = 0; i < n; i++)
		end += ranges[i].length;
	r = call4(__NR_ftruncate, write_fd, (long)end, 0, 0);
	if (r < 0)
		return r;
	/* A signal handler could write to a range between its copy and its mapping. */
	r = call4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&blocked, (long)&before, sizeof(blocked));
	if (r < 0)
		return r;
	for (long i = 0; i < n && r >= 0; i++) {
		unsigned long length = ranges[i].length;

		r = range_move(write_fd, map_fd, &ranges[i], offset);
		offset += length;
	}
	call4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before));
	return r;
}

/* Pages that are to be had before they are touched. */
struct park_pages {
	unsigned long start;
	unsigned long length;
};

/* Where the kernel refuses, the pages come when they are touched. */
park_export void park_get(const struct park_pages *pages, long n, long advice)
{
	for (long i = 0; i < n; i++)
		call4(__NR_madvise, (long)pages[i].start, (long)pages[i].length, advice, 0);
}

/* What allocates Python's arenas: the structure that PyObject_GetArenaAllocator() fills in. */
struct arena_allocator {
	void *context;
	void *(*make)(void *context, size_t size);
	void (*free)(void *context, void *arena, size_t size);
};

/*
 * Makes an arena by Python's own function, and marks it for sandbox_park.py. The mark is advice
 * that has no effect on this memory. It keeps the arena apart from what others map beside it, and
 * ends when the arena is unmapped.
 */
park_export void *park_arena_make(const struct arena_allocator *python, size_t size)
{
	void *arena = python->make(python->context, size);

	if (arena && (unsigned long)arena % PAGE == 0 && size % PAGE == 0)
		call4(__NR_madvise, (long)arena, (long)size, MADV_RANDOM, 0);
	return arena;
}

park_export void park_arena_free(const struct arena_allocator *python, void *arena, size_t size)
{
	python->free(python->context, arena, size);
}

/*
 * Takes the descriptor that comes by the next message of this socket, and gives it the number `to`,
 * which is free. False: none came.
 */
static int take_descriptor(long sock, long to)
{
	unsigned char byte;
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr head;
		unsigned long room[3]; /* CMSG_SPACE of one int */
	} control = {.room = {0}};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	long fd, r;

	do {
		r = call4(__NR_recvmsg, sock, (long)&msg, MSG_CMSG_CLOEXEC, 0);
	} while (r == -EINTR);
	if (r != 1 || control.head.cmsg_len != CMSG_LEN(sizeof(int)) ||
	    control.head.cmsg_type != SCM_RIGHTS)
		return 0;
	fd = *(const int *)(const void *)CMSG_DATA(&control.head);
	if (fd == to)
		return call4(__NR_fcntl, fd, F_SETFD, 0, 0) == 0;
	r = call4(__NR_dup3, fd, to, 0, 0);
	call4(__NR_close, fd, 0, 0, 0);
	return r == to;
}

/*
 * Writes `P` to ready_fd and waits on go_fd; returns the byte that comes, or 0 when none does. `s` is
 * none of those: a message with the socket of a run that serves follows it, which is taken, and the
 * wait goes on.
 */
static inline __attribute__((always_inline)) long wait_order(long ready_fd, long go_fd)
{
	unsigned char byte = 'P';
	long r;

	do {
		r = call4(__NR_write, ready_fd, (long)&byte, 1, 0);
	} while (r == -EINTR);
	if (r < 0)
		return 0;
	do {
		r = call4(__NR_read, go_fd, (long)&byte, 1, 0);
	} while (r == -EINTR || (r == 1 && byte == 's' && take_descriptor(go_fd, SERVE_FD)));
	return r > 0 ? byte : 0;
}

park_export long park_wait(long ready_fd, long go_fd)
{
	return wait_order(ready_fd, go_fd);
}

/*
 * Waits as park_wait() does, for `g`, and reads the job from its file: here this is done sooner
 * than by the interpreter, which has not run for long.
 *
 * Returns the job's length; 0 when the job is still in its file, because it is too long or
 * something is wrong with it; -1 when another byte than `g` came.
 */
park_export long park_job(long ready_fd, long go_fd, const char *path, void *room, long size)
{
	long fd, n;

	if (wait_order(ready_fd, go_fd) != 'g')
		return -1;
	fd = call4(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	n = call4(__NR_read, fd, (long)room, size, 0);
	call4(__NR_close, fd, 0, 0, 0);
	if (n <= 0 || n == size)
		return 0;
	return call4(__NR_unlink, (long)path, 0, 0, 0) < 0 ? 0 : n;
}

/* CLOCK_MONOTONIC in nanoseconds, for which Python 2 has no function. */
park_export long park_clock(void)
{
	struct {
		long seconds;
		long nanoseconds;
	} now = {0, 0};

	call4(__NR_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
	return now.seconds * 1000000000L + now.nanoseconds;
}

static int take_loads(struct dl_phdr_info *info, size_t size, void *ret)
{
	(void)size;
	*(long *)ret = (long)info->dlpi_adds;
	return 1;
}

/* How many libraries this process has ever loaded. The argument is dl_iterate_phdr(3). */
park_export long park_loads(int (*iterate)(int (*)(struct dl_phdr_info *, size_t, void *), void *))
{
	long loads = 0;

	iterate(take_loads, &loads);
	return loads;
}
