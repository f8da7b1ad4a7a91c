/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enqueue [OPTION]... ADDRESS PORT PROJECT CODE: queues tasks of a code by the REST API, with
 * the token in the environment variable TOKEN, and prints one JSON object about it.
 *
 *   --connections N   that are kept alive, each with one request at a time (8)
 *   --tasks N         in all (10000)
 *   --batch N         of one request (1)
 *   --payload TEXT    of each
 *   --host NAME       that the requests are for (ADDRESS:PORT)
 *   --get PATH        asks for this in place of queueing, as often as --tasks says
 *
 * A task counts when the answer with its id is there: it is durable then. One process and one
 * thread for all connections, so that the daemon gets as much of the machine as possible.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lib/util.h"

#define ANSWER_MAX (256u << 10)
#define WAIT_MS 60000 /* nobody answers for so long */

struct link {
	int fd;
	bool busy;
	size_t sent, got;
	uint64_t begin;
	char answer[ANSWER_MAX + 1];
};

struct load {
	struct sockaddr_in to;
	char *request;
	size_t request_len;
	unsigned n_links, batch;
	struct link *links;
	struct pollfd *pfds;
	uint64_t wanted, sent, tasks, refused; /* sent, refused: requests */
	bool get;			       /* tasks are answers with 200 */
	uint64_t *times;		       /* ns, of each request that was answered */
	size_t n_times;
	char error[256];
};

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "enqueue: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_request(struct load *l, const char *host, const char *project, const char *code,
			 const char *payload)
{
	const char *token = getenv("TOKEN");
	size_t size = l->batch * (strlen(code) + strlen(payload) + 64) + 64;
	_cleanup_free_ char *body = malloc(size);
	size_t n = 0;

	if (!body || !token)
		die("TOKEN");
	n += (size_t)snprintf(body, size, "{\"tasks\":[");
	for (unsigned i = 0; i < l->batch; i++)
		n += (size_t)snprintf(body + n, size - n,
				      "%s{\"code_name\":\"%s\",\"payload\":\"%s\"}", i ? "," : "",
				      code, payload);
	n += (size_t)snprintf(body + n, size - n, "]}");
	if (asprintf(&l->request,
		     "POST /2/projects/%s/tasks HTTP/1.1\r\nHost: %s\r\n"
		     "Authorization: OAuth %s\r\nContent-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n%s",
		     project, host, token, n, body) < 0)
		die("request");
	l->request_len = strlen(l->request);
}

static void link_open(struct load *l, struct link *k)
{
	int one = 1;

	k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&l->to, sizeof(l->to)) < 0)
		die("connect");
	(void)setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(k->fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
}

static void begin(struct load *l, struct link *k)
{
	k->busy = l->sent * l->batch < l->wanted;
	if (!k->busy)
		return;
	l->sent++;
	k->sent = k->got = 0;
	k->begin = util_monotonic_ns();
}

static void on_writable(struct load *l, struct link *k)
{
	ssize_t n = send(k->fd, l->request + k->sent, l->request_len - k->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		die("send");
	k->sent += n > 0 ? (size_t)n : 0;
}

static void make_get(struct load *l, const char *host, const char *path)
{
	const char *token = getenv("TOKEN");

	if (!token)
		die("TOKEN");
	if (asprintf(&l->request, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: OAuth %s\r\n\r\n",
		     path, host, token) < 0)
		die("request");
	l->request_len = strlen(l->request);
}

/* The answer's length once its header has come; 0: it has not. */
static size_t answer_len(const struct link *k, const char **ret_body)
{
	const char *body = strstr(k->answer, "\r\n\r\n"), *len;

	if (!body)
		return 0;
	*ret_body = body + 4;
	len = strcasestr(k->answer, "\r\nContent-Length:");
	if (!len || len > body)
		die("an answer has no Content-Length");
	return (size_t)(*ret_body - k->answer) + strtoul(len + 17, NULL, 10);
}

static void finish(struct load *l, struct link *k, const char *body)
{
	unsigned n = l->get && strncmp(k->answer + 9, "200", 3) == 0;

	for (const char *p = body; !l->get && (p = strstr(p, "\"id\":\"")); p++)
		n++;
	l->tasks += n;
	if (n != l->batch) {
		l->refused++;
		if (!*l->error)
			(void)snprintf(l->error, sizeof(l->error), "%.3s %.200s", k->answer + 9,
				       body);
	}
	l->times[l->n_times++] = util_monotonic_ns() - k->begin;
	begin(l, k);
}

static void on_readable(struct load *l, struct link *k)
{
	ssize_t n = recv(k->fd, k->answer + k->got, ANSWER_MAX - k->got, 0);
	const char *body;
	size_t len;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the server has closed a connection");
	k->got += (size_t)n;
	k->answer[k->got] = '\0';
	len = answer_len(k, &body);
	if (len && k->got >= len)
		finish(l, k, body);
	else if (k->got == ANSWER_MAX)
		die("an answer is too long");
}

static unsigned n_busy(const struct load *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n_links; i++)
		n += l->links[i].busy;
	return n;
}

static void turn(struct load *l)
{
	int n;

	for (unsigned i = 0; i < l->n_links; i++) {
		struct link *k = &l->links[i];

		l->pfds[i].fd = k->busy ? k->fd : -1;
		l->pfds[i].events = k->sent < l->request_len ? POLLOUT : POLLIN;
	}
	n = poll(l->pfds, l->n_links, WAIT_MS);
	if (n == 0)
		errno = ETIMEDOUT;
	if (n <= 0)
		die("poll");
	for (unsigned i = 0; i < l->n_links; i++) {
		if (l->pfds[i].revents & POLLOUT)
			on_writable(l, &l->links[i]);
		else if (l->pfds[i].revents)
			on_readable(l, &l->links[i]);
	}
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double quantile_ms(const struct load *l, double q)
{
	return l->n_times ? (double)l->times[(size_t)((double)(l->n_times - 1) * q)] / 1e6 : 0;
}

static void run(struct load *l)
{
	uint64_t began;
	double s;

	for (unsigned i = 0; i < l->n_links; i++)
		link_open(l, &l->links[i]);
	began = util_monotonic_ns();
	for (unsigned i = 0; i < l->n_links; i++)
		begin(l, &l->links[i]);
	while (n_busy(l) > 0)
		turn(l);
	s = (double)(util_monotonic_ns() - began) / 1e9;
	qsort(l->times, l->n_times, sizeof(*l->times), by_size);
	for (char *p = l->error; *p; p++)
		if (*p == '"' || *p == '\\' || *p < ' ')
			*p = '\'';
	(void)printf("{\"tasks\": %llu, \"requests\": %llu, \"refused\": %llu, \"seconds\": %.3f, "
		     "\"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"error\": "
		     "\"%s\"}\n",
		     (unsigned long long)l->tasks, (unsigned long long)l->sent,
		     (unsigned long long)l->refused, s, (double)l->tasks / s, quantile_ms(l, 0.5),
		     quantile_ms(l, 0.99), l->error);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"connections", required_argument, NULL, 'c'},
						{"tasks", required_argument, NULL, 't'},
						{"batch", required_argument, NULL, 'b'},
						{"payload", required_argument, NULL, 'p'},
						{"get", required_argument, NULL, 'g'},
						{"host", required_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct load l = {.n_links = 8, .wanted = 10000, .batch = 1};
	const char *payload = "{}", *path = NULL;
	const char *name = NULL;
	char host[256];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			l.n_links = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 't')
			l.wanted = strtoull(optarg, NULL, 10);
		else if (c == 'b')
			l.batch = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'p')
			payload = optarg;
		else if (c == 'g')
			path = optarg;
		else if (c == 'h')
			name = optarg;
		else
			return 1;
	}
	l.to.sin_family = AF_INET;
	if (argc - optind != (path ? 2 : 4) || !l.n_links || !l.batch || (path && l.batch != 1) ||
	    inet_pton(AF_INET, argv[optind], &l.to.sin_addr) != 1) {
		(void)fprintf(stderr, "usage: enqueue [OPTION]... ADDRESS PORT PROJECT CODE, or "
				      "enqueue --get PATH [OPTION]... ADDRESS PORT\n");
		return 1;
	}
	l.to.sin_port = htons((uint16_t)strtoul(argv[optind + 1], NULL, 10));
	(void)snprintf(host, sizeof(host), "%s%s%s", name ? name : argv[optind], name ? "" : ":",
		       name ? "" : argv[optind + 1]);
	l.links = calloc(l.n_links, sizeof(*l.links));
	l.pfds = calloc(l.n_links, sizeof(*l.pfds));
	l.times = calloc(l.wanted / l.batch + l.n_links + 1, sizeof(*l.times));
	if (!l.links || !l.pfds || !l.times)
		die("memory");
	l.get = path != NULL;
	if (path)
		make_get(&l, host, path);
	else
		make_request(&l, host, argv[optind + 2], argv[optind + 3], payload);
	run(&l);
	return 0;
}
