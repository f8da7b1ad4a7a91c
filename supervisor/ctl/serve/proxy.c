// SPDX-License-Identifier: Apache-2.0
/*
 * Connections of clients to workers. Bytes are copied as they come, both ways, and nothing is read of
 * one side that the other does not take.
 */
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/ctl/serve/serve.h"

#define BACKLOG 511
#define ACCEPTS_A_TURN 16
#define BUFFER 65536u
#define CONNECTIONS_MAX 2000u
#define ACCEPT_AGAIN_NS (200 * MSEC)

struct serve_proxy {
	sd_event *loop;
	sd_event_source *io, *again;
	void (*want)(void *arg, struct serve_conn *c);
	void *arg;
	unsigned n;
	bool stopped; /* freed with its last connection */
};

/* One direction: what was read of one side and was not written to the other. */
struct way {
	size_t from, to;
	bool ended; /* nothing more is read */
	bool shut;  /* which the other side was told */
	uint8_t buffer[BUFFER];
};

struct serve_conn {
	struct serve_proxy *proxy;
	int fd[2]; /* the client, the worker; -1: not yet */
	sd_event_source *io[2];
	struct way *way[2]; /* from fd[i] */
};

static void proxy_free(struct serve_proxy *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	p->again = sd_event_source_disable_unref(p->again);
	free(p);
}

static void conn_free(struct serve_conn *c)
{
	struct serve_proxy *p = c->proxy;

	for (unsigned i = 0; i < 2; i++) {
		c->io[i] = sd_event_source_disable_unref(c->io[i]);
		util_close_fd(&c->fd[i]);
		free(c->way[i]);
	}
	free(c);
	p->n--;
	if (p->stopped && p->n == 0)
		proxy_free(p);
	else if (!p->stopped)
		(void)sd_event_source_set_enabled(p->io, SD_EVENT_ON);
}

/* Reads and writes what goes. -errno: the connection is over. */
static int copy(struct serve_conn *c, unsigned i)
{
	struct way *w = c->way[i];

	for (;;) {
		ssize_t n;

		if (w->from == w->to && !w->ended) {
			n = recv(c->fd[i], w->buffer, sizeof(w->buffer), MSG_DONTWAIT);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return errno == EAGAIN ? 0 : -errno;
			w->from = 0;
			w->to = (size_t)n;
			w->ended = n == 0;
		}
		if (w->ended && w->from == w->to) {
			if (!w->shut)
				(void)shutdown(c->fd[!i], SHUT_WR);
			w->shut = true;
			return 0;
		}
		n = send(c->fd[!i], w->buffer + w->from, w->to - w->from,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		w->from += (size_t)n;
	}
}

static void watch(struct serve_conn *c)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct way *in = c->way[i], *out = c->way[!i];
		const uint32_t events = (in->from == in->to && !in->ended ? EPOLLIN : 0) |
					(out->from < out->to ? EPOLLOUT : 0);

		/* A side that has hung up would be told of again and again. */
		(void)sd_event_source_set_io_events(c->io[i], events);
		(void)sd_event_source_set_enabled(c->io[i], events ? SD_EVENT_ON : SD_EVENT_OFF);
	}
}

static int conn_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct serve_conn *c = arg;
	const unsigned i = fd == c->fd[1];

	(void)source;
	/* Of one that is broken nothing else comes, and it would be told of again and again. */
	if ((events & EPOLLERR) || copy(c, 0) < 0 || copy(c, 1) < 0 ||
	    (c->way[0]->shut && c->way[1]->shut) || ((events & EPOLLHUP) && c->way[i]->ended)) {
		conn_free(c);
		return 0;
	}
	watch(c);
	return 0;
}

void serve_conn_answer(struct serve_conn *c, const char *status, const char *type, const char *body,
		       size_t len)
{
	char head[512], dropped[4096];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
			 status, type, len);

	/* A reset would take the answer along: what has come of the request is read first. */
	while (recv(c->fd[0], dropped, sizeof(dropped), MSG_DONTWAIT) > 0)
		;
	(void)send(c->fd[0], head, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
	(void)send(c->fd[0], body, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(c->fd[0], SHUT_WR);
	conn_free(c);
}

void serve_conn_give(struct serve_conn *c, int fd)
{
	static const char text[] = "the worker cannot be reached\n";

	if (fd < 0) {
		serve_conn_answer(c, "503 Service Unavailable", "text/plain", text, strlen(text));
		return;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	c->fd[1] = fd;
	for (unsigned i = 0; i < 2; i++) {
		c->way[i] = malloc(sizeof(*c->way[i]));
		if (c->way[i]) {
			c->way[i]->from = c->way[i]->to = 0;
			c->way[i]->ended = c->way[i]->shut = false;
		}
		if (!c->way[i] || sd_event_add_io(c->proxy->loop, &c->io[i], c->fd[i], EPOLLIN,
						  conn_ready, c) < 0) {
			conn_free(c);
			return;
		}
	}
}

static int accept_again(sd_event_source *source, uint64_t usec, void *arg)
{
	struct serve_proxy *p = arg;

	(void)source;
	(void)usec;
	p->again = sd_event_source_disable_unref(p->again);
	(void)sd_event_source_set_enabled(p->io, SD_EVENT_ON);
	return 0;
}

static int accept_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct serve_proxy *p = arg;

	(void)source;
	(void)events;
	for (unsigned n = 0; n < ACCEPTS_A_TURN; n++) {
		struct serve_conn *c;
		int conn, one = 1;

		if (p->n >= CONNECTIONS_MAX) {
			(void)sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
			return 0;
		}
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			(void)sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
			(void)sd_event_add_time_relative(p->loop, &p->again, CLOCK_MONOTONIC,
							 ACCEPT_AGAIN_NS / 1000, 0, accept_again,
							 p);
		}
		c = conn < 0 ? NULL : calloc(1, sizeof(*c));
		if (!c) {
			util_close_fd(&conn);
			return 0;
		}
		(void)setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		*c = (struct serve_conn){.proxy = p, .fd = {conn, -1}};
		p->n++;
		p->want(p->arg, c);
	}
	return 0;
}

int serve_proxy_start(sd_event *loop, int fd, void (*want)(void *arg, struct serve_conn *c),
		      void *arg, struct serve_proxy **ret, struct err *e)
{
	struct serve_proxy *p = calloc(1, sizeof(*p));

	if (!p || sd_event_add_io(loop, &p->io, fd, EPOLLIN, accept_ready, p) < 0) {
		free(p);
		util_close_fd(&fd);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot listen");
	}
	(void)sd_event_source_set_io_fd_own(p->io, 1);
	p->loop = loop;
	p->want = want;
	p->arg = arg;
	*ret = p;
	return 0;
}

void serve_proxy_stop(struct serve_proxy *p)
{
	p->stopped = true;
	p->io = sd_event_source_disable_unref(p->io);
	if (p->n == 0)
		proxy_free(p);
}

static int listen_unix(const char *path, int *ret_fd, char **ret_url, struct err *e)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (strlen(path) >= sizeof(name.sun_path))
		return err_set(e, ERR_INPUT, 0, "unix:%s: the path is too long", path);
	strcpy(name.sun_path, path);
	/* One that an earlier command has left behind. */
	if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 && errno == ECONNREFUSED)
		(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_set(e, ERR_INPUT, errno, "unix:%s", path);
	if (ret_url && asprintf(ret_url, "unix:%s", path) < 0)
		*ret_url = NULL;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* connect(2) finds a socket by its inode, to which the descriptor of one without a name leads, too. */
int serve_listen_door(int *ret_fd, int *ret_door, struct err *e)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_fd_ int door = -1;
	char folder[] = "/tmp/sandboxctl-XXXXXX";

	if (fd < 0 || !mkdtemp(folder))
		return err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/door", folder);
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, BACKLOG) == 0)
		door = open(name.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (door < 0)
		(void)err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
	(void)unlink(name.sun_path);
	(void)rmdir(folder);
	if (door < 0)
		return -EIO;
	*ret_fd = TAKE_FD(fd);
	*ret_door = TAKE_FD(door);
	return 0;
}

static void url_of(int fd, const char *host, char **ret_url)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char port[16] = "";
	const bool six = strchr(host, ':') != NULL;

	if (getsockname(fd, (struct sockaddr *)&at, &len) == 0)
		(void)getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof(port),
				  NI_NUMERICSERV);
	if (asprintf(ret_url, "http://%s%s%s:%s", six ? "[" : "", *host ? host : "localhost",
		     six ? "]" : "", port) < 0)
		*ret_url = NULL;
}

int serve_listen(const char *address, unsigned default_port, int *ret_fd, char **ret_url,
		 struct err *e)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE},
			*found = NULL;
	_cleanup_free_ char *host = NULL;
	const char *colon, *end, *port;
	_cleanup_fd_ int fd = -1;
	char number[16];
	int r, one = 1, error;

	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(address + 5, ret_fd, ret_url, e);
	/* Of several colons without brackets all belong to the host. */
	end = *address == '[' ? strchr(address, ']') : NULL;
	colon = end ? (end[1] == ':' ? end + 1 : NULL) : strrchr(address, ':');
	if (colon && !end && strchr(address, ':') != colon)
		colon = NULL;
	(void)snprintf(number, sizeof(number), "%u", default_port);
	port = colon ? colon + 1 : number;
	if (end)
		host = strndup(address + 1, (size_t)(end - address) - 1);
	else
		host = colon ? strndup(address, (size_t)(colon - address)) : strdup(address);
	if (!host || !*port || strspn(port, "0123456789") != strlen(port))
		return err_set(e, ERR_INPUT, 0, "%s: must be HOST:PORT, *:PORT or unix:PATH",
			       address);
	if (strcmp(host, "*") == 0)
		*host = '\0';
	r = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (r != 0)
		return err_set(e, ERR_INPUT, 0, "%s: %s", address, gai_strerror(r));
	error = EADDRNOTAVAIL;
	/* All addresses of this machine are one socket, which takes both families. */
	for (unsigned pass = 0; pass < 2 && fd < 0; pass++)
		for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
			if (!*host && (a->ai_family == AF_INET6) != (pass == 0))
				continue;
			fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (fd < 0)
				continue;
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
			if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
				break;
			error = errno;
			util_close_fd(&fd);
		}
	freeaddrinfo(found);
	if (fd < 0)
		return err_set(e, ERR_INPUT, error, "%s", address);
	if (ret_url)
		url_of(fd, host, ret_url);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
