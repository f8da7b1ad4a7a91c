// SPDX-License-Identifier: Apache-2.0
/*
 * Requests that workers send by this command, made with libcurl: to other workers of the command, by
 * their doors, and to what the command's caller can reach, as far as the configuration
 * lets them. Whatever a worker says of its request is checked before libcurl has it, which would send
 * a line break of a header as one.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/ctl/serve/serve.h"

#define CONNECT_MS 10000L
#define QUIET_S 100L /* without a byte, either way */
#define REDIRECTS_MAX 20L
#define BODY_MAX (25u << 20)
#define HEAD_MAX (256u << 10)
#define HEADERS_MAX 256u
#define DEPTH_MAX 16
#define MESSAGE_MAX 2000 /* of another worker's exception */
#define OURS "X-Sandboxd-"

struct serve_http {
	sd_event *loop;
	CURLM *multi;
	sd_event_source *timer;
	LIST_HEAD(, exchange) exchanges;
};

struct exchange {
	LIST_ENTRY(exchange) next;
	struct serve_http *http;
	struct serve_ask *ask;
	CURL *curl;
	struct curl_slist *fields, *connect_to;
	json_t *allow, *deny; /* of addresses; NULL: all are allowed */
	bool inner;	      /* it goes to another worker */
	bool refused, too_long, raised;
	json_t *headers; /* of the answer */
	size_t head_len;
	uint8_t *body;
	size_t len, room;
	char error[CURL_ERROR_SIZE];
};

static void exchange_free(struct exchange *x)
{
	LIST_REMOVE(x, next);
	if (x->curl) {
		(void)curl_multi_remove_handle(x->http->multi, x->curl);
		curl_easy_cleanup(x->curl);
	}
	curl_slist_free_all(x->fields);
	curl_slist_free_all(x->connect_to);
	json_decref(x->allow);
	json_decref(x->deny);
	json_decref(x->headers);
	free(x->body);
	free(x);
}

static void refuse(struct exchange *x, const char *why)
{
	serve_answer_error(TAKE_PTR(x->ask), "Error", why);
	exchange_free(x);
}

/* The answer. */

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	const char *colon;
	size_t value, end = size * n;

	n = end;
	/* The head of an answer that another one follows, for instance "100 Continue". */
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
		(void)json_array_clear(x->headers);
		x->head_len = 0;
		return n;
	}
	x->head_len += n;
	if (x->head_len > HEAD_MAX || json_array_size(x->headers) >= HEADERS_MAX) {
		x->too_long = true;
		return 0;
	}
	colon = memchr(line, ':', n);
	if (!colon)
		return n;
	value = (size_t)(colon - line) + 1;
	if (x->inner && n > strlen(OURS) && strncasecmp(line, OURS, strlen(OURS)) == 0) {
		x->raised |= strncasecmp(line, OURS "Exception:", strlen(OURS "Exception:")) == 0;
		return n;
	}
	while (end > value && strchr(" \t\r\n", line[end - 1]))
		end--;
	while (value < end && (line[value] == ' ' || line[value] == '\t'))
		value++;
	/* The runtime reads and writes them as Latin-1. */
	{
		json_t *pair = json_array();
		char text[2 * 4096];
		size_t at = 0;

		for (size_t i = value; i < end && at + 2 < sizeof(text); i++) {
			const unsigned char c = (unsigned char)line[i];

			if (c >= 0x80)
				text[at++] = (char)(0xc0 | (c >> 6));
			text[at++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
		}
		(void)json_array_append_new(pair, json_stringn(line, (size_t)(colon - line)));
		(void)json_array_append_new(pair, json_stringn(text, at));
		if (json_array_size(pair) == 2)
			(void)json_array_append(x->headers, pair);
		json_decref(pair);
	}
	return n;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;

	n *= size;
	if (x->len + n > BODY_MAX) {
		x->too_long = true;
		return 0;
	}
	if (x->len + n > x->room) {
		const size_t room = 2 * (x->len + n);
		uint8_t *more = realloc(x->body, room);

		if (!more)
			return 0;
		x->body = more;
		x->room = room;
	}
	memcpy(x->body + x->len, bytes, n);
	x->len += n;
	return n;
}

static void finish(struct exchange *x, CURLcode code)
{
	char text[CURL_ERROR_SIZE + 64], *url = NULL;
	long status = 0, redirects = 0;

	if (code != CURLE_OK) {
		(void)snprintf(text, sizeof(text), "%s",
			       x->refused    ? "the address is not one that the service lets "
					       "workers reach"
			       : x->too_long ? "the answer is longer than 25 MiB"
			       : *x->error   ? x->error
					     : curl_easy_strerror(code));
		refuse(x, text);
		return;
	}
	if (x->raised) {
		char message[MESSAGE_MAX + 1];

		(void)snprintf(message, sizeof(message), "%.*s",
			       (int)(x->len < MESSAGE_MAX ? x->len : MESSAGE_MAX),
			       x->body ? (const char *)x->body : "");
		refuse(x, *message ? message : "the other worker has raised an exception");
		return;
	}
	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(x->curl, CURLINFO_REDIRECT_COUNT, &redirects);
	if (redirects > 0)
		(void)curl_easy_getinfo(x->curl, CURLINFO_EFFECTIVE_URL, &url);
	serve_answer(TAKE_PTR(x->ask),
		     json_pack("{s:I, s:O, s:s*}", "status", (json_int_t)status, "headers",
			       x->headers, "url", url),
		     x->body, x->len);
	exchange_free(x);
}

/* libcurl in the loop. */

static void look_for_ends(struct serve_http *h)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left))) {
		struct exchange *x = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x);
		finish(x, msg->data.result);
	}
}

static int curl_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct serve_http *h = arg;
	int running, what = 0;

	(void)source;
	what |= events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
	what |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	what |= events & EPOLLERR ? CURL_CSELECT_ERR : 0;
	(void)curl_multi_socket_action(h->multi, fd, what, &running);
	look_for_ends(h);
	return 0;
}

static int curl_late(sd_event_source *source, uint64_t usec, void *arg)
{
	struct serve_http *h = arg;
	int running;

	(void)source;
	(void)usec;
	(void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	look_for_ends(h);
	return 0;
}

static int curl_watch(CURL *curl, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct serve_http *h = arg;
	sd_event_source *io = of_socket;
	const uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		(void)sd_event_source_disable_unref(io);
		(void)curl_multi_assign(h->multi, fd, NULL);
	} else if (io) {
		(void)sd_event_source_set_io_events(io, events);
	} else if (sd_event_add_io(h->loop, &io, fd, events, curl_ready, h) >= 0) {
		(void)curl_multi_assign(h->multi, fd, io);
	}
	return 0;
}

static int curl_time(CURLM *multi, long ms, void *arg)
{
	struct serve_http *h = arg;

	(void)multi;
	h->timer = sd_event_source_disable_unref(h->timer);
	if (ms >= 0)
		(void)sd_event_add_time_relative(h->loop, &h->timer, CLOCK_MONOTONIC,
						 (uint64_t)ms * 1000, 1, curl_late, h);
	return 0;
}

/* Addresses. */

static bool in_network(const uint8_t *address, unsigned bits, const char *text)
{
	char copy[64], *slash;
	uint8_t network[16] = {0};
	unsigned long prefix = bits;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		prefix = strtoul(slash + 1, NULL, 10);
	}
	if (inet_pton(bits == 32 ? AF_INET : AF_INET6, copy, network) != 1 || prefix > bits)
		return false;
	for (unsigned i = 0; i < prefix; i++)
		if ((address[i / 8] ^ network[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

static bool in_any(const uint8_t *address, unsigned bits, const char *const *list)
{
	for (; *list; list++)
		if (in_network(address, bits, *list))
			return true;
	return false;
}

static bool matches(const uint8_t *address, unsigned bits, const char *rule)
{
	static const char *const loopback[] = {"127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128",
					       NULL};
	static const char *const own[] = {"10.0.0.0/8",	    "172.16.0.0/12", "192.168.0.0/16",
					  "169.254.0.0/16", "100.64.0.0/10", "192.0.0.0/24",
					  "198.18.0.0/15",  "224.0.0.0/4",   "240.0.0.0/4",
					  "0.0.0.0/8",	    "fc00::/7",	     "fe80::/10",
					  "fec0::/10",	    "ff00::/8",	     NULL};
	const bool is_local = in_any(address, bits, loopback);
	const bool is_private = !is_local && in_any(address, bits, own);

	if (strcmp(rule, "local") == 0)
		return is_local;
	if (strcmp(rule, "private") == 0)
		return is_private;
	if (strcmp(rule, "public") == 0)
		return !is_local && !is_private;
	if (strcmp(rule, "network") == 0)
		return true;
	return in_network(address, bits, rule);
}

static bool is_allowed(const struct exchange *x, const struct sockaddr *at)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t translated[12] = {0, 0x64, 0xff, 0x9b};
	const uint8_t *address;
	unsigned bits = 32;
	const json_t *rule;
	bool allowed = false;
	size_t i;

	if (!x->allow)
		return true;
	if (at->sa_family == AF_INET) {
		address = (const uint8_t *)&((const struct sockaddr_in *)at)->sin_addr;
	} else if (at->sa_family == AF_INET6) {
		address = (const uint8_t *)&((const struct sockaddr_in6 *)at)->sin6_addr;
		bits = 128;
		/* What is an IPv4 address is judged as one. */
		if (memcmp(address, mapped, 12) == 0 || memcmp(address, translated, 12) == 0) {
			address += 12;
			bits = 32;
		}
	} else {
		return false;
	}
	json_array_foreach(x->allow, i, rule) allowed =
		allowed || matches(address, bits, json_string_value(rule));
	json_array_foreach(x->deny, i, rule) allowed =
		allowed && !matches(address, bits, json_string_value(rule));
	return allowed;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *at)
{
	struct exchange *x = arg;
	curl_socket_t fd;

	(void)purpose;
	if (!is_allowed(x, &at->addr)) {
		x->refused = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* The request. */

static bool is_token(const char *text)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (const char *at = text; *at; at++)
		if (!((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') ||
		      (*at >= 'A' && *at <= 'Z') || strchr(marks, *at)))
			return false;
	return *text;
}

/* What the connection has, and not the request. */
static bool is_own(const char *name)
{
	static const char *const names[] = {"host",    "connection", "content-length",
					    "expect",  "keep-alive", "transfer-encoding",
					    "upgrade", "te",	     "trailer",
					    NULL};

	for (const char *const *own = names; *own; own++)
		if (strcasecmp(name, *own) == 0)
			return true;
	return strncasecmp(name, OURS, strlen(OURS)) == 0;
}

static void add_field(struct exchange *x, const char *line)
{
	struct curl_slist *more = curl_slist_append(x->fields, line);

	x->fields = more ? more : x->fields;
}

/* Its characters as Latin-1, as the runtime means them. False: it is no value. */
static bool latin(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		unsigned char c = *at;

		if (c >= 0x80) {
			if ((c & 0xfc) != 0xc0 || (at[1] & 0xc0) != 0x80)
				return false;
			c = (unsigned char)((c << 6) | (*++at & 0x3f));
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f || n + 1 >= size)
			return false;
		buf[n++] = (char)c;
	}
	buf[n] = '\0';
	return true;
}

static const char *add_fields(struct exchange *x, const json_t *headers)
{
	static const char *const unless_given[] = {"Accept", "Content-Type", "User-Agent", NULL};
	bool given[3] = {false};
	const json_t *pair;
	size_t i;

	if (json_array_size(headers) > HEADERS_MAX)
		return "the request has too many headers";
	json_array_foreach(headers, i, pair)
	{
		const char *name = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));
		char text[SERVE_HEAD_MAX], line[SERVE_HEAD_MAX + 300];

		if (!name || !value || !is_token(name) || strlen(name) > 256 ||
		    !latin(value, text, sizeof(text)))
			return "a header of the request is none";
		if (is_own(name))
			continue;
		for (unsigned n = 0; unless_given[n]; n++)
			given[n] |= strcasecmp(name, unless_given[n]) == 0;
		/* In libcurl's notation an empty value ends with a semicolon. */
		(void)snprintf(line, sizeof(line), *text ? "%s: %s" : "%s;", name, text);
		add_field(x, line);
	}
	/* What libcurl would add. */
	for (unsigned n = 0; unless_given[n]; n++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "%s:", unless_given[n]);
		if (!given[n])
			add_field(x, line);
	}
	add_field(x, "Expect:");
	return NULL;
}

static const char *set_method(struct exchange *x, const char *method)
{
	if (!method || !is_token(method) || strlen(method) > 64)
		return "the request has no method";
	if (strcmp(method, "HEAD") == 0) {
		(void)curl_easy_setopt(x->curl, CURLOPT_NOBODY, 1L);
		return NULL;
	}
	if (strcmp(method, "POST") == 0 || x->ask->len > 0) {
		(void)curl_easy_setopt(x->curl, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				       (curl_off_t)x->ask->len);
		(void)curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, x->ask->body);
	}
	/* Of GET and POST libcurl knows what they become when they are redirected. */
	if (strcmp(method, "GET") != 0 || x->ask->len > 0)
		if (strcmp(method, "POST") != 0)
			(void)curl_easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, method);
	return NULL;
}

/* NULL: the ask was answered. */
static struct exchange *exchange_new(struct serve_http *h, struct serve_ask *a)
{
	const json_t *http = json_object_get(a->head, "http");
	const char *method = ctl_text(a->head, "method"), *why = NULL;
	struct exchange *x = NULL;

	if (strcmp(method, "fetch") != 0 || !http) {
		serve_answer_error(a, "Error", "a service can be asked by fetch() alone here");
		return NULL;
	}
	x = calloc(1, sizeof(*x));
	if (!x) {
		serve_answer_error(a, "Error", "out of memory");
		return NULL;
	}
	*x = (struct exchange){.http = h, .ask = a, .headers = json_array()};
	LIST_INSERT_HEAD(&h->exchanges, x, next);
	x->curl = curl_easy_init();
	if (!x->curl || !x->headers) {
		refuse(x, "out of memory");
		return NULL;
	}
	why = set_method(x, json_string_value(json_object_get(http, "method")));
	if (!why)
		why = add_fields(x, json_object_get(http, "headers"));
	if (why) {
		refuse(x, why);
		return NULL;
	}
	(void)curl_easy_setopt(x->curl, CURLOPT_PRIVATE, x);
	(void)curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(x->curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(x->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* What the environment says of proxies would go around the rules of a network. */
	(void)curl_easy_setopt(x->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	(void)curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_TIME, QUIET_S);
	(void)curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->error);
	(void)curl_easy_setopt(x->curl, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(x->curl, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(x->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	(void)curl_easy_setopt(x->curl, CURLOPT_OPENSOCKETDATA, x);
	(void)curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->fields);
	/* One that was opened by the rules of one service is not another one's. */
	(void)curl_easy_setopt(x->curl, CURLOPT_FRESH_CONNECT, 1L);
	(void)curl_easy_setopt(x->curl, CURLOPT_FORBID_REUSE, 1L);
	return x;
}

/* The parts of the ask's URL; each is libcurl's. False: it is none. */
static bool url_parts(const struct exchange *x, char **host, char **port, char **target)
{
	const char *url =
		json_string_value(json_object_get(json_object_get(x->ask->head, "http"), "url"));
	CURLU *u = curl_url();
	char *path = NULL, *query = NULL;
	bool good;

	*host = *port = *target = NULL;
	good = u && url && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	       curl_url_get(u, CURLUPART_HOST, host, 0) == CURLUE_OK &&
	       curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK;
	if (good) {
		(void)curl_url_get(u, CURLUPART_PORT, port, 0);
		(void)curl_url_get(u, CURLUPART_QUERY, &query, 0);
		if (asprintf(target, "%s%s%s", path, query ? "?" : "", query ? query : "") < 0)
			*target = NULL;
	}
	curl_free(path);
	curl_free(query);
	curl_url_cleanup(u);
	return good && *target;
}

static void begin(struct exchange *x)
{
	if (curl_multi_add_handle(x->http->multi, x->curl) != CURLM_OK)
		refuse(x, "out of memory");
}

/* Sends the request to what is at `to`, "http://HOST:PORT", with the URL's own host as its Host. */
static void begin_at(struct exchange *x, const char *to)
{
	_cleanup_free_ char *target = NULL, *url = NULL, *line = NULL;
	char *host, *port;
	const bool good = url_parts(x, &host, &port, &target);

	if (good && asprintf(&url, "%s%s", to, target) > 0 &&
	    asprintf(&line, "Host: %s%s%s", host, port ? ":" : "", port ? port : "") > 0)
		add_field(x, line);
	curl_free(host);
	curl_free(port);
	if (!good || !url || !line) {
		refuse(x, "the request's URL is none");
		return;
	}
	(void)curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->fields);
	(void)curl_easy_setopt(x->curl, CURLOPT_URL, url);
	begin(x);
}

bool serve_ask_depth(struct serve_ask *a, unsigned *ret)
{
	const json_t *http = json_object_get(a->head, "http");
	const json_int_t depth =
		json_integer_value(json_object_get(http ? http : a->head, "depth"));

	*ret = (unsigned)depth + 1;
	if (depth >= 0 && depth < DEPTH_MAX)
		return true;
	serve_answer_error(a, "Error",
			   "Subrequest depth limit exceeded. This request recursed through Workers "
			   "too many times. This can happen e.g. if you have a Worker that calls "
			   "other Workers recursively.");
	return false;
}

void serve_http_worker(struct serve_http *h, struct serve_ask *a, int door, const char *key)
{
	struct exchange *x;
	const char *url;
	char path[32], line[300];
	unsigned depth;

	if (!serve_ask_depth(a, &depth))
		return;
	x = exchange_new(h, a);
	if (!x)
		return;
	x->inner = true;
	(void)snprintf(line, sizeof(line), "X-Sandboxd-Key: %s", key);
	add_field(x, line);
	(void)snprintf(line, sizeof(line), "X-Sandboxd-Depth: %u", depth);
	add_field(x, line);
	if (a->binding && a->binding->entrypoint && is_token(a->binding->entrypoint)) {
		(void)snprintf(line, sizeof(line), "X-Sandboxd-Entrypoint: %s",
			       a->binding->entrypoint);
		add_field(x, line);
	}
	url = json_string_value(json_object_get(json_object_get(a->head, "http"), "url"));
	if (url && strncasecmp(url, "https:", 6) == 0)
		add_field(x, "X-Forwarded-Proto: https");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", door);
	(void)curl_easy_setopt(x->curl, CURLOPT_UNIX_SOCKET_PATH, path);
	begin_at(x, "http://localhost");
}

void serve_http_external(struct serve_http *h, struct serve_ask *a, const char *address, bool tls,
			 const char *certificate_host)
{
	struct exchange *x = exchange_new(h, a);
	const char *colon = strrchr(address, ':');
	_cleanup_free_ char *to = NULL, *line = NULL;

	if (!x)
		return;
	if (strncmp(address, "unix:", 5) == 0) {
		(void)curl_easy_setopt(x->curl, CURLOPT_UNIX_SOCKET_PATH, address + 5);
		begin_at(x, tls ? "https://localhost" : "http://localhost");
		return;
	}
	/* What is verified is the name in the URL; where it leads to is said beside it. */
	if (certificate_host && *certificate_host) {
		if (asprintf(&line, "::%s%s", address, colon ? "" : tls ? ":443" : ":80") > 0)
			x->connect_to = curl_slist_append(NULL, line);
		(void)curl_easy_setopt(x->curl, CURLOPT_CONNECT_TO, x->connect_to);
		address = certificate_host;
	}
	if (asprintf(&to, "%s://%s", tls ? "https" : "http", address) < 0)
		refuse(x, "out of memory");
	else
		begin_at(x, to);
}

void serve_http_network(struct serve_http *h, struct serve_ask *a, const json_t *allow,
			const json_t *deny)
{
	struct exchange *x = exchange_new(h, a);
	const char *url, *redirect;
	const json_t *http;

	if (!x)
		return;
	http = json_object_get(a->head, "http");
	url = json_string_value(json_object_get(http, "url"));
	redirect = json_string_value(json_object_get(http, "redirect"));
	x->allow = json_deep_copy(allow);
	x->deny = json_deep_copy(deny);
	if (!url || !x->allow) {
		refuse(x, "the request has no URL");
		return;
	}
	if (!redirect || strcmp(redirect, "follow") == 0) {
		(void)curl_easy_setopt(x->curl, CURLOPT_FOLLOWLOCATION, 1L);
		(void)curl_easy_setopt(x->curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	}
	(void)curl_easy_setopt(x->curl, CURLOPT_URL, url);
	begin(x);
}

int serve_http_new(sd_event *loop, struct serve_http **ret, struct err *e)
{
	struct serve_http *h = calloc(1, sizeof(*h));

	if (h && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
		h->multi = curl_multi_init();
	if (!h || !h->multi) {
		free(h);
		return err_set(e, ERR_SYSTEM, ENOMEM, "libcurl");
	}
	h->loop = loop;
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, curl_watch);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, curl_time);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	*ret = h;
	return 0;
}

void serve_http_free(struct serve_http *h)
{
	if (!h)
		return;
	while (!LIST_EMPTY(&h->exchanges))
		refuse(LIST_FIRST(&h->exchanges), "the command ends");
	h->timer = sd_event_source_disable_unref(h->timer);
	(void)curl_multi_cleanup(h->multi);
	free(h);
}
