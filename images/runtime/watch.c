/*
 * Preloaded into an interpreter that is to be warmed. It replaces the C library's getenv(3) and
 * gethostname(2), and records what they are asked for while modules are imported. A task that sets
 * one of those variables would have got another answer by its own import, and each task has another
 * host name; sandbox_reads.py says what follows from that.
 *
 * Freestanding, as park.c is: the interpreter and the C library may be of any version that an image
 * has. The list is read when the modules have been imported; nothing is added after that.
 */

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/utsname.h>
#include <stddef.h>

#define watch_export __attribute__((visibility("default")))
#define ROOM 16384UL

extern char **environ;
extern int *__errno_location(void); /* the C library's */

static char names[ROOM]; /* each name with its NUL */
static size_t used;
static int watching;
static int lost; /* there was no room for a name */
static int host_name_read;

static size_t length(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

static int same(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

static void keep(const char *name)
{
	size_t n = length(name) + 1;

	for (size_t at = 0; at < used; at += length(names + at) + 1)
		if (length(names + at) + 1 == n && same(names + at, name, n))
			return;
	if (n > ROOM - used) {
		lost = 1;
		return;
	}
	for (size_t i = 0; i < n; i++)
		names[used + i] = name[i];
	used += n;
}

watch_export char *getenv(const char *name)
{
	size_t n = length(name);

	if (watching)
		keep(name);
	for (char **each = environ; each && *each; each++)
		if (same(*each, name, n) && (*each)[n] == '=')
			return *each + n + 1;
	return NULL;
}

/* The same as getenv: the interpreter has no more privilege than the process that started it. */
watch_export char *secure_getenv(const char *name)
{
	return getenv(name);
}

watch_export int gethostname(char *name, size_t size)
{
	struct new_utsname host;
	size_t n;
	long r;

	host_name_read |= watching;
	host.nodename[0] = '\0';
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(__NR_uname), "D"(&host)
			 : "rcx", "r11", "memory");
	if (r < 0) {
		*__errno_location() = (int)-r;
		return -1;
	}
	n = length(host.nodename) + 1;
	for (size_t i = 0; i < n && i < size; i++)
		name[i] = host.nodename[i];
	if (n > size) {
		*__errno_location() = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

watch_export long watch_host_name(void)
{
	return host_name_read;
}

/* Switches recording on or off. */
watch_export void watch_switch(long on)
{
	watching = on != 0;
}

/* Copies the names to room; returns their length in bytes, or -1 when names are missing. */
watch_export long watch_names(char *room, size_t size)
{
	if (lost || used > size)
		return -1;
	for (size_t i = 0; i < used; i++)
		room[i] = names[i];
	return (long)used;
}
