// SPDX-License-Identifier: Apache-2.0
/*
 * How libmicrohttpd reads. It has no hook of its own for that: it calls recv, and the program's
 * recv goes before the C library's wherever a shared library calls it (ld.so(8)). Should that ever
 * not be so, no request is let through: http_request.c counts the heads.
 */
#include <string.h>
#include <sys/socket.h>

#include "supervisor/front/serve/http/internal.h"

/* By descriptor; NULL where it is no client's. One front is in a process. */
static struct {
	struct http_screen *screen;
	bool held;  /* its request is being answered */
	bool ended; /* while it is held: its client has shut its sending side */
} * screens;
static size_t n_screens;

int http_recv_watch(int fd, struct http_screen *s)
{
	size_t n = n_screens;
	void *more;

	if ((size_t)fd >= n) {
		n = (size_t)fd + 64;
		more = reallocarray(screens, n, sizeof(*screens));
		if (!more)
			return -ENOMEM;
		screens = more;
		memset(screens + n_screens, 0, (n - n_screens) * sizeof(*screens));
		n_screens = n;
	}
	screens[fd].screen = s;
	screens[fd].held = screens[fd].ended = false;
	return 0;
}

void http_recv_hold(int fd)
{
	screens[fd].held = true;
}

bool http_recv_let_go(int fd)
{
	screens[fd].held = false;
	return screens[fd].ended;
}

void http_recv_forget(int fd)
{
	if (fd >= 0 && (size_t)fd < n_screens)
		screens[fd].screen = NULL;
}

void http_recv_clear(void)
{
	free(screens);
	screens = NULL;
	n_screens = 0;
}

static size_t give_stand_in(struct http_screen *s, char *buf, size_t len)
{
	size_t n = strnlen(s->stand_in, len);

	memcpy(buf, s->stand_in, n);
	s->stand_in += n;
	return n;
}

/* What a refused client still sends is taken, so that it reads its answer and no reset. */
static void drain(int fd)
{
	char scrap[4096];

	for (int i = 0; i < 64; i++)
		if (recvfrom(fd, scrap, sizeof(scrap), MSG_DONTWAIT, NULL, NULL) <= 0)
			return;
}

static ssize_t screened(int fd, char *buf, size_t len, int flags)
{
	struct http_screen *s = screens[fd].screen;
	const int least = 1;
	size_t room, n = 0;
	ssize_t got;

	/* On to the end where nothing is whole: the client's end may have come with its last bytes,
	 * and makes no edge of its own then. */
	while (n == 0 && s->state != SCREEN_REFUSED) {
		if (s->n_held >= len) {
			http_screen_refuse(s, 431, "the request's headers are too long");
			break;
		}
		room = len - s->n_held;
		got = recvfrom(fd, buf + s->n_held, room, flags, NULL, NULL);
		if (got < 0)
			return got;
		/* libmicrohttpd would close the connection of a client that may still read. */
		if (got == 0 && screens[fd].held) {
			screens[fd].ended = true;
			break;
		}
		if (got == 0)
			http_screen_end(s);
		if (got == 0 && s->state != SCREEN_REFUSED)
			return 0;
		if (got == 0)
			break;
		if (s->n_held > 0)
			memcpy(buf, s->held, s->n_held);
		n = http_screen(s, buf, s->n_held + (size_t)got);
		/* libmicrohttpd takes less than it asked for as all that there was, and waits for
		 * an edge. Where there may be more, this makes one (tcp_set_rcvlowat in Linux). */
		if ((size_t)got == room && n < len)
			(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
	}
	if (s->state == SCREEN_REFUSED) {
		drain(fd);
		n += give_stand_in(s, buf + n, len - n);
	}
	if (n > 0)
		return (ssize_t)n;
	errno = EAGAIN;
	return -1;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	if (flags & MSG_PEEK || fd < 0 || (size_t)fd >= n_screens || !screens[fd].screen ||
	    len == 0)
		return recvfrom(fd, buf, len, flags, NULL, NULL);
	return screened(fd, buf, len, flags);
}
