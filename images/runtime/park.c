/*
 * The parking helper: moves the writable memory of the process that it is
 * loaded into to a file, and waits there to be dumped.
 *
 * CRIU writes private anonymous pages to its dump and copies each of them back
 * at every restore.  Pages of a private file mapping that were not written to
 * it leaves to the file.  So the memory that the warm interpreter has written to
 * is written to a file and then mapped from there, privately, at the same address;
 * sandbox_park.py says what of it may be.
 *
 * Between the copy and the mapping of a range nothing may write to it.  This is
 * why the helper is freestanding: it runs between two raw system calls on
 * nothing but registers and the stack, which is never moved; it has no data, no
 * relocations and calls nobody.  The process must have one thread.
 */

#define _GNU_SOURCE /* dl_phdr_info */
#include <asm/unistd.h>
#include <link.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

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
#define MADV_RANDOM 1

/* As sandbox_park.py fills it in, in order of address, page aligned. */
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

/* Whether every page is mapped still: the list is a little older than this call. */
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
 * Moves n ranges to the file from offset on.  map_fd is open for reading only,
 * so that the mappings can be made again from a file that is not writable.
 *
 * Returns 0, or -errno when the ranges cannot be moved: some may have been, but
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
	/* A handler could write to a range in between. */
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

/* Python's arenas of objects: its own structure, of PyObject_GetArenaAllocator(). */
struct arena_allocator {
	void *context;
	void *(*make)(void *context, size_t size);
	void (*free)(void *context, void *arena, size_t size);
};

/*
 * As Python's own makes an arena, but it carries the mark by which sandbox_park.py
 * knows it: advice that means nothing for this memory, keeps it apart from what
 * others map beside it, and goes with it when it is unmapped.
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

/* Says `P` on ready_fd and waits on go_fd; returns the byte that ends the wait, or 0 without one.
 */
park_export long park_wait(long ready_fd, long go_fd)
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
	} while (r == -EINTR);
	return r > 0 ? byte : 0;
}

/*
 * Waits as park_wait() does, for `g`, and takes the job from its file: this is
 * sooner done here than by the interpreter, which has been idle for long.
 *
 * Returns the job's length; 0 when the job is still in its file, because it does
 * not fit or something is wrong with it; -1 when it was not `g` that came.
 */
park_export long park_job(long ready_fd, long go_fd, const char *path, void *room, long size)
{
	long fd, n;

	if (park_wait(ready_fd, go_fd) != 'g')
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

/* Nanoseconds of the clock that Python 2 has no name for. */
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
