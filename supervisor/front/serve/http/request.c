// SPDX-License-Identifier: Apache-2.0
/*
 * One request, in the order of libmicrohttpd's calls: its first line (http_req_new), its
 * headers (the first http_req_handle), its body, its end, and after http_wake again until
 * there is an answer (http_req_done).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "supervisor/front/run/metrics.h"
#include "supervisor/front/serve/http/internal.h"

#define RETRY_S 1u
#define REQUEST_NS (60 * SEC) /* from its first line to its last byte */
/* A slower client is one that wants to be slow. */
#define RATE_MIN (16u << 10) /* bytes a second, of what is longer */

void *http_req_new(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct http_req *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->http = cls;
	r->mhd = mhd;
	r->pub.f = r->http->f;
	r->pub.upload_fd = -1;
	r->pub.priv = r;
	r->started_ns = util_monotonic_ns();
	r->uri = strdup(uri);
	r->path = r->uri ? http_target_path(uri) : NULL;
	if (!r->path) {
		free(r->uri);
		free(r);
		return NULL;
	}
	(void)http_target_parse(r->uri, &r->target, &r->uri_error);
	return r;
}

static void req_free(struct http_req *r)
{
	(void)sd_event_source_disable_unref(r->watch);
	if (r->counted) {
		r->http->n_begun--;
		r->http->begun[r->begun_holder]--;
	}
	if (r->response)
		MHD_destroy_response(r->response);
	http_body_free(r);
	if (r->pub.read)
		r->route->reader->free(r->pub.read);
	free(r->path);
	free(r->uri);
	free(r);
}

void http_req_done(void *cls, struct MHD_Connection *mhd, void **req,
		   enum MHD_RequestTerminationCode how)
{
	struct http_req *r = *req;
	void (*gone)(void *arg);

	(void)cls;
	(void)mhd;
	(void)how;
	*req = NULL;
	if (!r)
		return;
	gone = TAKE_PTR(r->gone);
	if (gone)
		gone(r->gone_arg);
	if (r->conn) {
		r->conn->req = NULL;
		r->conn->reading = true;
		r->conn->deadline_ns = util_monotonic_ns() + REQUEST_NS;
	}
	req_free(r);
}

void http_leave(struct http_req *r)
{
	void (*gone)(void *arg) = TAKE_PTR(r->gone);

	r->dead = true;
	if (gone)
		gone(r->gone_arg);
	http_wake(r);
}

/*
 * libmicrohttpd does not look at a suspended connection. A client that sends no more may still
 * read: that it does not is seen when something was sent to it, as a log does then, or by itself
 * when its machine has forgotten the connection.
 */
static int on_hang_up(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	static const int on = 1, after_s = 20;
	struct http_req *r = arg;

	if (events & (EPOLLHUP | EPOLLERR)) {
		http_leave(r);
		return 0;
	}
	(void)sd_event_source_set_io_events(s, 0);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof(after_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &after_s, sizeof(after_s));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r->half = true;
	if (r->stream)
		http_wake(r);
	return 0;
}

void http_sleep(struct http_req *r)
{
	if (r->suspended)
		return;
	r->suspended = true;
	MHD_suspend_connection(r->mhd);
	if (r->conn)
		(void)sd_event_add_io(r->http->f->event, &r->watch, r->conn->fd,
				      r->half ? 0 : EPOLLRDHUP, on_hang_up, r);
}

void http_wake(struct http_req *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	r->watch = sd_event_source_disable_unref(r->watch);
	MHD_resume_connection(r->mhd);
	http_poke(r->http);
}

void http_later(struct http_request *pub, void (*gone)(void *arg), void *arg)
{
	struct http_req *r = http_req_of(pub);

	r->later = true;
	r->gone = gone;
	r->gone_arg = arg;
}

const char *http_param(const struct http_request *pub, const char *name)
{
	return http_target_param(&http_req_of(pub)->target, name);
}

const char *http_header(const struct http_request *pub, const char *name)
{
	return MHD_lookup_connection_value(http_req_of(pub)->mhd, MHD_HEADER_KIND, name);
}

/* A page of another site must not reach this one by a name of its own that it has lead here. */
static int check_host(struct http_req *r)
{
	const char *host = r->target.authority;

	/* RFC 9112, 3.2.2: a target with a host in it goes before the header. */
	if (!host)
		host = http_header(&r->pub, MHD_HTTP_HEADER_HOST);
	if (!r->http->loopback || !host || http_host_is_loopback(host))
		return 0;
	http_refuse(r, MHD_HTTP_MISDIRECTED_REQUEST, 0,
		    "Host: this server listens on loopback alone: use localhost or 127.0.0.1");
	return -EACCES;
}

static int check_target(struct http_req *r)
{
	if (!r->uri_error.code)
		return 0;
	http_refuse(r, MHD_HTTP_BAD_REQUEST, 0, "%s", r->uri_error.msg);
	return -EINVAL;
}

static int find_route(struct http_req *r)
{
	char allow[HTTP_ALLOW_MAX];

	r->route = http_route_find(r->http->tables, r->http->n_tables, r->pub.method, &r->target,
				   r->pub.parts, allow);
	if (r->route)
		return 0;
	if (!*allow) {
		http_refuse(r, MHD_HTTP_NOT_FOUND, 0, "Not found");
		return -ENOENT;
	}
	http_refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, 0, "%s is not allowed here: use %s",
		    r->pub.method, allow);
	http_header_add(r->response, MHD_HTTP_HEADER_ALLOW, allow);
	return -EPERM;
}

/* The connection's end goes with it: where the next request begins, nobody knows. */
static int check_screen(struct http_req *r)
{
	const struct http_screen *s = r->conn ? &r->conn->screen : NULL;

	if (!s || r->n_head > s->heads)
		http_refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, 0, "the request was not screened");
	else if (s->status && r->n_head == s->heads)
		http_refuse(r, s->status, 0, "%s", s->why);
	else
		return 0;
	http_header_add(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
	r->refused = true;
	return -EINVAL;
}

/* A project's requests are no more than are left for others, so that there is always room for one
 * of one more project. Operators are who looks when something is wrong. */
static int take_share(struct http_req *r)
{
	struct http *h = r->http;
	const unsigned holder = http_holder(r);

	http_conn_hold(r);
	if (!r->pub.project || r->pub.operator)
		return 0;
	if (h->begun[holder] + h->n_begun >= http_conns_room(h)) {
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "%u requests are being read or answered, %u of this project's: try "
			    "again later",
			    h->n_begun, h->begun[holder]);
		return -EBUSY;
	}
	r->counted = true;
	r->begun_holder = holder;
	h->begun[holder]++;
	h->n_begun++;
	return 0;
}

/* Its headers are there. */
static void begin(struct http_req *r, const char *method)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	r->begun = true;
	r->pub.method = method;
	r->pub.path = r->path;
	r->conn = info ? info->socket_context : NULL;
	if (r->conn) {
		r->conn->req = r;
		r->conn->reading = true;
		r->conn->deadline_ns = r->started_ns + REQUEST_NS;
		r->n_head = ++r->conn->n_heads;
	}
	if (check_screen(r) == 0 && check_target(r) == 0 && check_host(r) == 0 &&
	    find_route(r) == 0 && http_authorise(r, false) == 0 && take_share(r) == 0)
		(void)http_body_begin(r);
}

static void call_now(struct http_req *r)
{
	struct err e = {0};

	if (!r->response)
		http_body_end(r);
	if (r->response || http_read_begin(r) != 0)
		return;
	if (r->route->fn(&r->pub, &e) < 0) {
		http_error(&r->pub, &e);
	} else if (!r->response && !r->later) {
		(void)err_set(&e, ERR_INTERNAL, 0, "%s %s has no answer", r->route->method,
			      r->route->path);
		http_error(&r->pub, &e);
	}
}

/* Its client has left before its turn has come. */
static void turn_gone(void *arg)
{
	struct http_req *r = arg;

	turn_take_back(r->http->f, r->holder, TURN_CALL, &r->turn);
}

static bool turn_slice(struct front *f, struct work *w)
{
	struct http_req *r = (struct http_req *)((char *)w - offsetof(struct http_req, turn));

	/* Its token, or the project with it, may have gone while it waited. */
	(void)http_authorise(r, true);
	if (!r->response && commit_is_behind(f, r->pub.project))
		return true;
	r->gone = NULL;
	call_now(r);
	return false;
}

static void turn_drop(struct front *f, struct work *w)
{
	struct http_req *r = (struct http_req *)((char *)w - offsetof(struct http_req, turn));

	(void)f;
	r->gone = NULL;
	http_leave(r);
}

void http_call_again(struct http_req *r)
{
	r->turn = (struct work){.slice = turn_slice, .drop = turn_drop};
	r->gone = turn_gone;
	r->gone_arg = r;
	turn_add(r->http->f, r->holder, TURN_CALL, &r->turn);
}

/* One request of a project is answered at once; the others that came in the same turn of the loop
 * wait for turns of their own, so that many connections of one do not hold up those of others. */
static void call(struct http_req *r)
{
	struct http *h = r->http;

	r->called = true;
	if (check_screen(r) == 0)
		(void)http_authorise(r, true);
	r->holder = http_holder(r);
	if (r->conn) {
		r->conn->reading = false;
		r->conn->deadline_ns = 0; /* now it is our turn */
		http_recv_hold(r->conn->fd);
	}
	if (r->response)
		return;
	if (h->called_turn[r->holder] != h->turn && turn_is_free(h->f, r->holder, TURN_CALL) &&
	    !commit_is_behind(h->f, r->pub.project)) {
		h->called_turn[r->holder] = h->turn;
		call_now(r);
		return;
	}
	http_call_again(r);
}

/* What is written is read by somebody, or the connection goes. */
static enum MHD_Result answer(struct http_req *r)
{
	struct MHD_Response *response = TAKE_PTR(r->response);
	enum MHD_Result queued;

	/* There is no next request then, and nobody would tell libmicrohttpd. */
	if (r->conn && http_recv_let_go(r->conn->fd))
		http_header_add(response, MHD_HTTP_HEADER_CONNECTION, "close");
	queued = MHD_queue_response(r->mhd, r->status, response);

	r->gone = NULL;
	if (r->conn) {
		r->conn->reading = false;
		r->conn->deadline_ns = r->stream ? 0 : util_monotonic_ns() + 10 * REQUEST_NS;
	}
	metrics_answered(r->http->f, r->status);
	MHD_destroy_response(response);
	http_body_free(r);
	return queued;
}

/* How much of a body is read at most, be it of use or not: of whom nobody knows, little. */
static uint64_t patience(const struct http_req *r)
{
	const bool known = r->route && (r->pub.project || r->route->auth == HTTP_OPEN);

	return known && r->route->upload ? 2ULL * HTTP_UPLOAD_MAX : 2ULL * HTTP_BODY_MAX;
}

/*
 * A refusal of a body that has not been asked for by "100 Continue" comes after the body:
 * else the client that is still sending would meet a reset connection, not an answer.
 */
static bool may_answer_early(struct http_req *r)
{
	const char *expect = http_header(&r->pub, MHD_HTTP_HEADER_EXPECT);
	const char *len = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t n;

	/* Answered now, the connection is closed after it; that costs a request without a
	 * body its next ones. */
	return r->refused || expect || (len && (http_number(len, &n) < 0 || n > patience(r)));
}

/* False: more than anybody may send, whoever it is. */
static bool take_body(struct http_req *r, const char *data, size_t len)
{
	r->body_seen += len;
	if (r->body_seen > patience(r))
		return false;
	if (r->conn)
		r->conn->deadline_ns = r->started_ns + REQUEST_NS + r->body_seen / RATE_MIN * SEC;
	if (!r->response)
		http_body_add(r, data, len);
	return true;
}

enum MHD_Result http_req_handle(void *cls, struct MHD_Connection *mhd, const char *url,
				const char *method, const char *version, const char *data,
				size_t *len, void **req)
{
	struct http_req *r = *req;

	(void)cls;
	(void)mhd;
	(void)url;
	(void)version;
	if (!r || r->dead)
		return MHD_NO;
	if (!r->begun) {
		begin(r, method);
		return r->response && may_answer_early(r) ? answer(r) : MHD_YES;
	}
	if (*len > 0) {
		bool taken = take_body(r, data, *len);

		*len = 0;
		return taken ? MHD_YES : MHD_NO;
	}
	if (!r->response && !r->called)
		call(r);
	if (r->response)
		return answer(r);
	http_sleep(r);
	return MHD_YES;
}
