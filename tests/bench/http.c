/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http [OPTION]... SOCKET|ADDRESS:PORT HOST PATH: asks for the same page again and again, and prints
 * one JSON object: n, seconds, and milliseconds of each request at 50 and 99 of 100.
 *
 *   --connections N  this many, each with one request at a time (1); they are kept alive
 *   --seconds N      for so long (1)
 *
 * It costs next to nothing beside what is measured, and speaks to unix sockets, which wrk does not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX (8u << 20)

struct slot {
	uint64_t begin;
	char answer[65536];
	size_t have;
};

struct load {
	const char *to;
	char request[4096];
	size_t len;
	struct slot *slots;
	struct pollfd *pfds;
	uint32_t *us; /* of each request */
	size_t n;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "http: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static int join_unix(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	return fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? -1 : fd;
}

static int join_tcp(const char *to)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *colon = strrchr(to, ':');
	char address[64];

	snprintf(address, sizeof(address), "%.*s", colon ? (int)(colon - to) : 0, to);
	if (!colon || inet_pton(AF_INET, address, &name.sin_addr) != 1)
		errno = EINVAL;
	else
		name.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return !name.sin_port || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? -1 : fd;
}

static void join(struct load *l, size_t i)
{
	int fd = l->to[0] == '/' ? join_unix(l->to) : join_tcp(l->to);

	if (fd < 0)
		die(l->to);
	l->pfds[i] = (struct pollfd){fd, POLLIN, 0};
}

static void ask(struct load *l, size_t i)
{
	l->slots[i].begin = now_us();
	l->slots[i].have = 0;
	if (send(l->pfds[i].fd, l->request, l->len, MSG_NOSIGNAL) != (ssize_t)l->len)
		die("send");
}

/* Whether the answer is whole. Its length must be said. */
static int whole(struct slot *s)
{
	const char *end, *said;

	s->answer[s->have] = 0;
	end = strstr(s->answer, "\r\n\r\n");
	if (!end)
		return 0;
	if (strncmp(s->answer, "HTTP/1.1 200 ", 13) != 0) {
		fprintf(stderr, "http: answered: %.200s\n", s->answer);
		exit(1);
	}
	said = strcasestr(s->answer, "\r\ncontent-length:");
	if (!said || said > end) {
		fputs("http: an answer does not say its length\n", stderr);
		exit(1);
	}
	return s->have >= (size_t)(end + 4 - s->answer) + strtoul(said + 17, NULL, 10);
}

static void take(struct load *l, size_t i)
{
	struct slot *s = &l->slots[i];
	ssize_t n = recv(l->pfds[i].fd, s->answer + s->have, sizeof(s->answer) - 1 - s->have, 0);

	if (n <= 0) {
		errno = n == 0 ? ECONNRESET : errno;
		die("recv");
	}
	s->have += (size_t)n;
	if (!whole(s))
		return;
	if (l->n < SAMPLES_MAX)
		l->us[l->n++] = (uint32_t)(now_us() - s->begin);
	ask(l, i);
}

static int by_size(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void tell(struct load *l, double seconds)
{
	const size_t half = l->n / 2, most = l->n * 99 / 100;

	qsort(l->us, l->n, sizeof(*l->us), by_size);
	printf("{\"n\": %zu, \"seconds\": %.3f, \"p50\": %.3f, \"p99\": %.3f}\n", l->n, seconds,
	       l->n ? l->us[half] / 1000.0 : 0.0, l->n ? l->us[most] / 1000.0 : 0.0);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"connections", required_argument, NULL, 'c'},
						{"seconds", required_argument, NULL, 's'},
						{NULL, 0, NULL, 0}};
	size_t connections = 1;
	double seconds = 1;
	struct load l = {0};
	uint64_t began, end;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'c')
			connections = strtoul(optarg, NULL, 10);
		else if (c == 's')
			seconds = strtod(optarg, NULL);
		else
			return 2;
	}
	if (argc - optind != 3 || connections < 1 || connections > 1000) {
		fputs("usage: http [OPTION]... SOCKET|ADDRESS:PORT HOST PATH\n", stderr);
		return 2;
	}
	l.to = argv[optind];
	l.len = (size_t)snprintf(l.request, sizeof(l.request),
				 "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[optind + 2],
				 argv[optind + 1]);
	l.slots = calloc(connections, sizeof(*l.slots));
	l.pfds = calloc(connections, sizeof(*l.pfds));
	l.us = malloc(SAMPLES_MAX * sizeof(*l.us));
	if (!l.slots || !l.pfds || !l.us || l.len >= sizeof(l.request))
		die("memory");
	for (size_t i = 0; i < connections; i++)
		join(&l, i);
	began = now_us();
	end = began + (uint64_t)(seconds * 1e6);
	for (size_t i = 0; i < connections; i++)
		ask(&l, i);
	while (now_us() < end) {
		if (poll(l.pfds, connections, 100) < 0 && errno != EINTR)
			die("poll");
		for (size_t i = 0; i < connections; i++)
			if (l.pfds[i].revents)
				take(&l, i);
	}
	tell(&l, (double)(now_us() - began) / 1e6);
	return 0;
}
