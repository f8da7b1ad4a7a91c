/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn COMMAND...: runs it once and prints four numbers: CLOCK_MONOTONIC before the
 * spawn and after the end (both in ns), the exit status, and the number in the first
 * line of its output, by which the command says when its own first line ran.
 *
 * It is a program of its own so that what is measured is not the measuring script's
 * fork. The end is the later of end of output and exit, as a shell would see it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Reads to the end, and keeps the beginning, which has the first line. */
static void drain(int fd, char *head, size_t size)
{
	char buf[65536];
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		size_t take = (size_t)n < size - 1 - have ? (size_t)n : size - 1 - have;
		memcpy(head + have, buf, take);
		have += take;
	}
	head[have] = 0;
}

int main(int argc, char **argv, char **envp)
{
	posix_spawn_file_actions_t actions;
	char head[64];
	int pipe_fds[2], status, r;
	pid_t pid;

	if (argc < 2) {
		fputs("usage: spawn COMMAND...\n", stderr);
		return 125;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO) != 0) {
		perror("spawn");
		return 125;
	}
	uint64_t begin = now_ns();
	r = posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, envp);
	if (r != 0) {
		fprintf(stderr, "spawn: %s: %s\n", argv[1], strerror(r));
		return 125;
	}
	close(pipe_fds[1]);
	drain(pipe_fds[0], head, sizeof(head));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	uint64_t end = now_ns();
	printf("%" PRIu64 " %" PRIu64 " %d %" PRIu64 "\n", begin, end,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	       (uint64_t)strtoull(head, NULL, 10));
	return 0;
}
