// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/metrics.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/dir.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/run/run.h"

/* Upper bounds in microseconds, and as Prometheus writes them; the last one is all. */
static const struct {
	uint64_t us;
	const char *le;
} buckets[METRICS_BUCKETS] = {
	{500, "0.0005"}, {1000, "0.001"}, {2000, "0.002"}, {3000, "0.003"},	 {5000, "0.005"},
	{10000, "0.01"}, {20000, "0.02"}, {50000, "0.05"}, {100000, "0.1"},	 {250000, "0.25"},
	{500000, "0.5"}, {1000000, "1"},  {5000000, "5"},  {UINT64_MAX, "+Inf"},
};

static void on_started(struct front *f, struct task *t)
{
	const uint32_t mode = t->rec.start_mode;
	const uint64_t us = t->rec.start_us;

	/* 0: it is not known. */
	if (mode >= START_MODE_MAX || us == 0)
		return;
	f->run->metrics.starts[mode].n++;
	f->run->metrics.starts[mode].sum_us += us;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		if (us <= buckets[i].us)
			f->run->metrics.starts[mode].buckets[i]++;
}

static void on_over(struct front *f, struct task *t)
{
	const struct task_record *rec = &t->rec;

	if (rec->verdict < VERDICT_MAX)
		f->run->metrics.verdicts[rec->verdict]++;
	if (!rec->log_known)
		return;
	f->run->metrics.log_lines += rec->log_lines;
	f->run->metrics.log_bytes += rec->log_bytes;
	f->run->metrics.log_dropped += rec->log_dropped;
}

void metrics_logger_started(struct front *f)
{
	f->run->metrics.logger_starts++;
}

/* Of a turn of the loop, as above. */
static const struct {
	uint64_t ns;
	const char *le;
} turn_buckets[METRICS_TURN_BUCKETS] = {
	{100000, "0.0001"}, {500000, "0.0005"}, {1000000, "0.001"},   {2000000, "0.002"},
	{5000000, "0.005"}, {20000000, "0.02"}, {UINT64_MAX, "+Inf"},
};

void metrics_turn(struct front *f, uint64_t ns)
{
	f->run->metrics.turns.n++;
	f->run->metrics.turns.sum_ns += ns;
	if (ns > f->run->metrics.turns.most_ns)
		f->run->metrics.turns.most_ns = ns;
	for (unsigned i = 0; i < METRICS_TURN_BUCKETS; i++)
		if (ns <= turn_buckets[i].ns)
			f->run->metrics.turns.buckets[i]++;
}

static void write_starts(FILE *out, const struct metrics *m)
{
	static const char name[] = "task_start_seconds";

	metric_head(
		out, name, "histogram",
		"From a task's request to its first user bytecode, by start mode; since this front "
		"started.");
	for (unsigned i = 0; i < START_MODE_MAX; i++) {
		const char *mode = start_mode_name((enum start_mode)i);

		if (i == START_AUTO)
			continue;
		for (unsigned b = 0; b < METRICS_BUCKETS; b++)
			(void)fprintf(out, "sandboxd_%s_bucket{mode=\"%s\",le=\"%s\"} %llu\n", name,
				      mode, buckets[b].le,
				      (unsigned long long)m->starts[i].buckets[b]);
		(void)fprintf(out,
			      "sandboxd_%s_sum{mode=\"%s\"} %llu.%06llu\n"
			      "sandboxd_%s_count{mode=\"%s\"} %llu\n",
			      name, mode, (unsigned long long)m->starts[i].sum_us / 1000000,
			      (unsigned long long)m->starts[i].sum_us % 1000000, name, mode,
			      (unsigned long long)m->starts[i].n);
	}
}

static void write_ends(FILE *out, const struct metrics *m)
{
	metric_head(out, "task_verdicts_total", "counter",
		    "Tasks that have ended, by verdict; since this front started.");
	for (unsigned i = VERDICT_NONE + 1; i < VERDICT_MAX; i++)
		(void)fprintf(out, "sandboxd_task_verdicts_total{verdict=\"%s\"} %llu\n",
			      verdict_name((enum verdict)i), (unsigned long long)m->verdicts[i]);
	metric_one(out, "log_lines_total", "counter",
		   "Lines of the logs of ended tasks; since this front started.", m->log_lines);
	metric_one(out, "log_bytes_total", "counter",
		   "Bytes of the logs of ended tasks; since this front started.", m->log_bytes);
	metric_one(out, "log_dropped_bytes_total", "counter",
		   "Bytes of them that were not kept; since this front started.", m->log_dropped);
}

static void write_turns(FILE *out, struct front *f)
{
	static const char name[] = "front_turn_seconds", most[] = "front_turn_longest_seconds";
	const struct metrics *m = &f->run->metrics;

	metric_head(
		out, name, "histogram",
		"Processor time of one turn of the front's loop, in which nobody else is served; "
		"since this front started.");
	for (unsigned i = 0; i < METRICS_TURN_BUCKETS; i++)
		(void)fprintf(out, "sandboxd_%s_bucket{le=\"%s\"} %llu\n", name, turn_buckets[i].le,
			      (unsigned long long)m->turns.buckets[i]);
	metric_seconds(out, "front_turn_seconds_sum", m->turns.sum_ns);
	(void)fprintf(out, "sandboxd_%s_count %llu\n", name, (unsigned long long)m->turns.n);
	metric_head(out, most, "gauge", "The longest of them; since this front started.");
	metric_seconds(out, most, m->turns.most_ns);
	metric_one(out, "front_works_waiting", "gauge",
		   "Requests and long works that wait for a turn of the front's loop.",
		   turn_waiting(f));
}

static int count_one(int dir, const char *name, void *n, struct err *e)
{
	(void)dir;
	(void)name;
	(void)e;
	++*(uint64_t *)n;
	return 0;
}

static uint64_t count_fds(void)
{
	_cleanup_fd_ int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t n = 0;

	(void)dir_each(dir, count_one, &n, NULL);
	return n > 2 ? n - 2 : 0; /* dir, and that by which it is read */
}

static uint64_t resident_bytes(void)
{
	unsigned long long size = 0, resident = 0;
	FILE *in = fopen("/proc/self/statm", "re");

	if (!in)
		return 0;
	if (fscanf(in, "%llu %llu", &size, &resident) != 2) /* NOLINT(cert-err34-c) */
		resident = 0;
	(void)fclose(in);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_roles(FILE *out, struct front *f)
{
	metric_head(out, "build_info", "gauge", "The version that runs; always 1.");
	(void)fprintf(out, "sandboxd_build_info{version=\"" SANDBOXD_VERSION "\"} 1\n");
	metric_head(out, "role_up", "gauge",
		    "1 when the front is connected to the role, or is it.");
	(void)fprintf(out,
		      "sandboxd_role_up{role=\"front\"} 1\n"
		      "sandboxd_role_up{role=\"monitor\"} %d\n"
		      "sandboxd_role_up{role=\"logger\"} %d\n",
		      f->run->monitor.sock >= 0 && f->run->ready, f->run->logger.sock >= 0);
	metric_head(out, "role_restarts_total", "counter",
		    "Times that another logger came; since this front started.");
	(void)fprintf(out, "sandboxd_role_restarts_total{role=\"logger\"} %llu\n",
		      (unsigned long long)f->run->metrics.logger_starts -
			      (f->run->metrics.logger_starts > 0));
	metric_head(out, "role_start_time_seconds", "gauge",
		    "Unix time at which the role started.");
	(void)fprintf(out, "sandboxd_role_start_time_seconds{role=\"front\"} %llu.%03llu\n",
		      (unsigned long long)(f->started_ns / SEC),
		      (unsigned long long)(f->started_ns % SEC / MSEC));
	metric_head(out, "role_resident_memory_bytes", "gauge", "Memory of the role.");
	(void)fprintf(out, "sandboxd_role_resident_memory_bytes{role=\"front\"} %llu\n",
		      (unsigned long long)resident_bytes());
	metric_head(out, "role_open_fds", "gauge", "Open descriptors of the role.");
	(void)fprintf(out, "sandboxd_role_open_fds{role=\"front\"} %llu\n",
		      (unsigned long long)count_fds());
}

static void metrics_write(struct front *f, FILE *out)
{
	write_starts(out, &f->run->metrics);
	write_ends(out, &f->run->metrics);
	write_turns(out, f);
	write_roles(out, f);
}

static const struct listener listener = {.started = on_started, .over = on_over};

const struct capability metrics_capability = {
	.name = "metrics", .listener = &listener, .metrics = metrics_write};
