// SPDX-License-Identifier: Apache-2.0
/*
 * libmicrohttpd in the front's loop: it has an epoll set of its own, which is one source
 * here. It never blocks; what it has left to do it does in the next turn.
 */
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/msg.h"
#include "supervisor/front/run/metrics.h"
#include "supervisor/front/serve/http/internal.h"

#define IDLE_S 20u	      /* without a byte in either direction */
#define REQUEST_NS (60 * SEC) /* from its first byte to its last, and between two */
#define SWEEP_US 1000000u
#define SILENT_NS SEC /* what is on its way from a client has come by then */
/* A connection's headers, read buffer and write buffer; half of it is the read buffer at first, and
 * a head must fit into that whole. */
#define CONN_MEMORY (2 * HTTP_HEADER_MAX)

void http_poke(struct http *h)
{
	(void)sd_event_source_set_enabled(h->again, SD_EVENT_ONESHOT);
}

static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms = 0;

	h->turn++;
	(void)MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &timeout_ms) != MHD_YES) {
		(void)sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	} else if (timeout_ms == 0) {
		http_poke(h);
	} else {
		(void)sd_event_source_set_time_relative(h->timer, timeout_ms * 1000);
		(void)sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
	}
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)s;
	(void)fd;
	(void)events;
	run(arg);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	run(arg);
	return 0;
}

static int on_again(sd_event_source *s, void *arg)
{
	(void)s;
	run(arg);
	return 0;
}

/* libmicrohttpd sees the end of the file, and closes. */
static void hang_up(struct http_conn *c)
{
	c->deadline_ns = 0;
	c->reading = false;
	if (!c->leaving)
		c->http->conns_of[c->holder]--;
	c->leaving = true;
	(void)shutdown(c->fd, SHUT_RDWR);
}

/*
 * libmicrohttpd waits for edges: an end that came together with the last bytes is none of its
 * own. Seen twice, so that what it has not read yet is not lost.
 */
static bool has_left(struct http_conn *c)
{
	const bool before = c->at_end;
	char byte;

	c->at_end = c->reading && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
	return before && c->at_end;
}

/* Ends the streams of logs that were opened with a token which was revoked since. */
static void on_token_revoked(struct front *f)
{
	struct http_conn *c;

	if (!f->serve->http)
		return;
	LIST_FOREACH(c, &f->serve->http->conns, entry)
		if (c->req && c->req->stream && !c->leaving && http_is_revoked(c->req))
			hang_up(c);
}

const struct listener http_listener = {.token_revoked = on_token_revoked};

static int on_sweep(sd_event_source *s, uint64_t usec, void *arg)
{
	struct http *h = arg;
	uint64_t now = util_monotonic_ns();
	struct http_conn *c;

	(void)usec;
	LIST_FOREACH(c, &h->conns, entry)
		if (has_left(c) || (c->deadline_ns && now >= c->deadline_ns))
			hang_up(c);
	if (LIST_EMPTY(&h->conns))
		return 0;
	(void)sd_event_source_set_time_relative(s, SWEEP_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

unsigned http_conns_room(const struct http *h)
{
	return h->conns_max - h->conns_max / 8;
}

void http_conn_hold(struct http_exchange *r)
{
	struct http_conn *c = r->conn;

	if (!c || c->leaving)
		return;
	c->http->conns_of[c->holder]--;
	c->holder = http_holder(r);
	c->http->conns_of[c->holder]++;
}

/* It has said nothing since its start, or since its last answer, and has had time to. */
static bool is_silent(const struct http_conn *c, uint64_t now)
{
	return c->reading && !c->req && c->deadline_ns < now + REQUEST_NS - SILENT_NS;
}

/*
 * Whoever has many connections must not keep others out, nor cut theirs. One goes of the project
 * that has most of them; those of clients that have not said who they are count as one project's.
 * It is the oldest one on which nothing is said, or, where there is none, the oldest.
 */
static void make_room(struct http *h)
{
	struct http_conn *silent = NULL, *oldest = NULL;
	const uint64_t now = util_monotonic_ns();
	struct http_conn *c;
	unsigned most = 0, holder = 0;

	if (h->n_conns < http_conns_room(h))
		return;
	LIST_FOREACH(c, &h->conns, entry) {
		if (!c->leaving && h->conns_of[c->holder] >= most) {
			holder = c->holder;
			most = h->conns_of[holder];
		}
	}
	LIST_FOREACH(c, &h->conns, entry) {
		if (c->leaving || c->holder != holder)
			continue;
		oldest = c;
		if (is_silent(c, now))
			silent = c;
	}
	if (oldest)
		hang_up(silent ? silent : oldest);
}

/* The edge alone can connect to a Unix socket of the server's. */
static bool is_edges(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

static void conn_new(struct http *h, struct MHD_Connection *mhd, void **socket_context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_conn *c = calloc(1, sizeof(*c));

	if (c)
		c->by_edge = is_edges(info->connect_fd);
	/* Without either of them nobody would look at what it sends. */
	if (!c || (!c->by_edge && http_recv_watch(info->connect_fd, &c->screen) < 0)) {
		(void)shutdown(info->connect_fd, SHUT_RDWR);
		free(c);
		return;
	}
	make_room(h);
	c->http = h;
	c->fd = info->connect_fd;
	c->deadline_ns = util_monotonic_ns() + REQUEST_NS;
	c->reading = true;
	LIST_INSERT_HEAD(&h->conns, c, entry);
	if (!LIST_NEXT(c, entry))
		(void)on_sweep(h->sweep, 0, h);
	h->n_conns++;
	c->holder = PROJECTS_MAX;
	h->conns_of[c->holder]++;
	*socket_context = c;
}

static void conn_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
			enum MHD_ConnectionNotificationCode code)
{
	struct http_conn *c = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn_new(cls, mhd, socket_context);
		return;
	}
	if (!c)
		return;
	LIST_REMOVE(c, entry);
	c->http->n_conns--;
	if (c->http->api)
		(void)sd_event_source_set_enabled(c->http->api, SD_EVENT_ON);
	if (!c->leaving)
		c->http->conns_of[c->holder]--;
	if (!c->by_edge)
		http_recv_forget(c->fd);
	http_screen_clear(&c->screen);
	free(c);
}

/* Paths and parameters are decoded once, by http_target_parse. */
static size_t no_decoding(void *cls, struct MHD_Connection *mhd, char *text)
{
	(void)cls;
	(void)mhd;
	return strlen(text);
}

static bool is_loopback(int fd)
{
	struct sockaddr_storage addr = {0};
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return false;
	if (addr.ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return addr.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* libmicrohttpd listens on one socket alone. */
static int on_api(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	static const struct sockaddr_un nobody = {.sun_family = AF_UNIX};
	struct http *h = arg;
	int conn;

	(void)events;
	/* The others wait in the socket's queue until one of these has gone. */
	if (h->n_conns >= h->conns_max)
		return sd_event_source_set_enabled(s, SD_EVENT_OFF);
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn >= 0 && MHD_add_connection(h->daemon, conn, (const struct sockaddr *)&nobody,
					    sizeof(nobody.sun_family)) == MHD_YES)
		http_poke(h);
	return 0;
}

static int add_sources(struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	sd_event *event = h->f->event;
	int r;

	if (!info)
		return -EINVAL;
	r = sd_event_add_io(event, &h->io, info->epoll_fd, EPOLLIN, on_io, h);
	if (r >= 0)
		r = sd_event_add_time(event, &h->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_timer,
				      h);
	if (r >= 0)
		r = sd_event_add_time(event, &h->sweep, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_sweep,
				      h);
	if (r >= 0 && h->f->cfg.api_fd >= 0)
		r = sd_event_add_io(event, &h->api, h->f->cfg.api_fd, EPOLLIN, on_api, h);
	if (r >= 0)
		r = http_read_init(h);
	if (r >= 0)
		r = sd_event_add_defer(event, &h->again, on_again, h);
	return r;
}

/* The control socket and the other roles need descriptors too. */
static unsigned conns_max(void)
{
	struct rlimit nofile = {0};

	if (getrlimit(RLIMIT_NOFILE, &nofile) < 0 || nofile.rlim_cur / 4 >= HTTP_CONNS_MAX)
		return HTTP_CONNS_MAX;
	return (unsigned)(nofile.rlim_cur / 4);
}

static struct MHD_Daemon *start(struct http *h, int listen_fd)
{
	const bool listens = listen_fd >= 0;
	struct MHD_OptionItem where[] = {
		{listens ? MHD_OPTION_LISTEN_SOCKET : MHD_OPTION_END, listen_fd, NULL},
		{MHD_OPTION_END, 0, NULL}};

	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
			(listens ? 0 : MHD_USE_NO_LISTEN_SOCKET),
		0, NULL, NULL, http_exchange_handle, h, MHD_OPTION_ARRAY, where,
		MHD_OPTION_CONNECTION_LIMIT, h->conns_max, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, conn_notify, h, MHD_OPTION_NOTIFY_COMPLETED,
		http_exchange_done, h, MHD_OPTION_URI_LOG_CALLBACK, http_exchange_new, h,
		MHD_OPTION_UNESCAPE_CALLBACK, no_decoding, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

int http_init(struct front *f, const struct http_route *const *tables, unsigned n_tables,
	      struct err *e)
{
	struct http *h;

	if (f->cfg.http_fd < 0 && f->cfg.api_fd < 0)
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the HTTP server");
	h->f = f;
	h->tables = tables;
	h->n_tables = n_tables;
	h->conns_max = conns_max();
	f->serve->http = h;
	h->loopback = is_loopback(f->cfg.http_fd);
	if (http_address_of(f->cfg.http_fd, h->address) < 0)
		h->address[0] = '\0';
	/* It writes to files and sockets by sendfile, which knows no MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	h->daemon = start(h, f->cfg.http_fd);
	if (!h->daemon)
		return err_set(e, ERR_SYSTEM, errno, "libmicrohttpd does not start");
	return add_sources(h) < 0 ? err_set(e, ERR_SYSTEM, 0, "cannot watch the HTTP server") : 0;
}

const char *http_address(const struct front *f)
{
	return f->serve->http ? f->serve->http->address : "";
}

void http_clear(struct front *f)
{
	struct http *h = f->serve->http;
	struct http_conn *c;

	if (!h)
		return;
	h->io = sd_event_source_disable_unref(h->io);
	h->api = sd_event_source_disable_unref(h->api);
	/* It must not be stopped while one of them is suspended. */
	LIST_FOREACH(c, &h->conns, entry)
		if (c->req)
			http_leave(c->req);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	http_read_clear(h);
	(void)sd_event_source_disable_unref(h->timer);
	(void)sd_event_source_disable_unref(h->sweep);
	(void)sd_event_source_disable_unref(h->again);
	http_recv_clear();
	f->serve->http = NULL;
	free(h);
}
