// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/api_stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/front/run/run.h"

#define SAMPLES 300u /* seconds, too */
#define STARTS 4096u /* a power of two */
#define RATE_SECONDS 10u
#define SAMPLE_USEC 1000000u
#define CHECKPOINTS 64u

struct start {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t us;
	uint8_t mode;
};

struct sample {
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint64_t memory_used;
	uint32_t queued, running, started, ended, errors, p50_us;
};

struct checkpoint {
	char key[65];
	uint64_t dump_us, bytes;
};

struct api_stats {
	struct front *f;
	sd_event_source *timer;
	uint64_t touched_ns; /* CLOCK_MONOTONIC: when something was last wanted or happened */
	struct sample samples[SAMPLES], now;
	struct start starts[STARTS];
	struct checkpoint checkpoints[CHECKPOINTS];
	uint64_t n_samples, n_starts, n_checkpoints; /* ever */
	uint64_t sampled_starts;		     /* n_starts at the last sample */
};

static int read_text(const char *path, char *buf, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? 0 : -EIO;
}

static uint64_t kilobytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

void api_memory(struct api_memory *ret)
{
	char text[4096];

	*ret = (struct api_memory){0};
	if (read_text("/proc/meminfo", text, sizeof(text)) == 0) {
		ret->total = kilobytes(text, "MemTotal:");
		ret->available = kilobytes(text, "MemAvailable:");
	}
	if (read_text("/proc/self/status", text, sizeof(text)) == 0)
		ret->front = kilobytes(text, "VmRSS:");
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Those of a mode (START_AUTO: of any) from number `from` on and not before since_ns, sorted. */
static size_t starts_of(const struct api_stats *s, enum start_mode mode, uint64_t from,
			uint64_t since_ns, uint32_t *ret)
{
	size_t n = 0;

	if (s->n_starts > STARTS && from < s->n_starts - STARTS)
		from = s->n_starts - STARTS;
	for (uint64_t i = from; i < s->n_starts; i++) {
		const struct start *start = &s->starts[i % STARTS];

		if (start->time_ns >= since_ns && (mode == START_AUTO || start->mode == mode))
			ret[n++] = start->us;
	}
	qsort(ret, n, sizeof(*ret), by_value);
	return n;
}

/* The least value that q of 100 are not above; n > 0. */
static uint32_t quantile(const uint32_t *sorted, size_t n, unsigned q)
{
	return sorted[(n * q + 99) / 100 - 1];
}

static void take_sample(struct api_stats *s)
{
	static uint32_t times[STARTS];
	struct queue_counts counts = {0};
	struct api_memory memory;
	size_t n;

	queue_counts(s->f, &counts);
	api_memory(&memory);
	n = starts_of(s, START_AUTO, s->sampled_starts, 0, times);
	s->now.time_ns = util_realtime_ns();
	s->now.memory_used = memory.total - memory.available;
	s->now.queued = (uint32_t)counts.queued;
	s->now.running = (uint32_t)counts.running;
	s->now.p50_us = n ? quantile(times, n, 50) : 0;
	s->samples[s->n_samples++ % SAMPLES] = s->now;
	s->now = (struct sample){0};
	s->sampled_starts = s->n_starts;
}

static int sample(sd_event_source *source, uint64_t usec, void *arg)
{
	struct api_stats *s = arg;

	take_sample(s);
	/* Nobody has looked and nothing has happened for as long as samples are kept. */
	if (util_monotonic_ns() - s->touched_ns > SAMPLES * SEC)
		return 0;
	(void)sd_event_source_set_time(source, usec + SAMPLE_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* NULL: out of memory, and then there are no charts. */
static struct api_stats *touch(struct front *f)
{
	struct api_stats *s = f->run->stats;
	int enabled = SD_EVENT_OFF;

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		s->f = f;
		if (sd_event_add_time(f->event, &s->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, sample,
				      s) < 0) {
			free(s);
			return NULL;
		}
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
		f->run->stats = s;
	}
	s->touched_ns = util_monotonic_ns();
	(void)sd_event_source_get_enabled(s->timer, &enabled);
	if (enabled == SD_EVENT_OFF) {
		(void)sd_event_source_set_time(s->timer, s->touched_ns / 1000 + SAMPLE_USEC);
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
	}
	return s;
}

static void on_started(struct front *f, struct task *t)
{
	const uint64_t us = t->rec.start_us;
	struct api_stats *s = touch(f);

	if (!s)
		return;
	s->now.started++;
	/* 0: it is not known how long it took. */
	if (!us)
		return;
	s->starts[s->n_starts++ % STARTS] =
		(struct start){s->touched_ns, us > UINT32_MAX ? UINT32_MAX : (uint32_t)us,
			       (uint8_t)t->rec.start_mode};
}

static void on_over(struct front *f, struct task *t)
{
	struct api_stats *s = touch(f);

	if (!s)
		return;
	s->now.ended++;
	s->now.errors += t->rec.verdict != VERDICT_OK;
}

static json_t *ms_or_null(bool known, uint32_t us)
{
	return known ? json_real((double)us / 1000) : json_null();
}

static json_t *starts_json(const struct api_stats *s, enum start_mode mode)
{
	static uint32_t times[STARTS];
	uint64_t now = util_monotonic_ns();
	size_t n = starts_of(s, mode, 0, now > SAMPLES * SEC ? now - SAMPLES * SEC : 0, times);

	return json_pack("{s:I, s:o, s:o, s:o}", "count", (json_int_t)n, "p50_ms",
			 ms_or_null(n, n ? quantile(times, n, 50) : 0), "p99_ms",
			 ms_or_null(n, n ? quantile(times, n, 99) : 0), "max_ms",
			 ms_or_null(n, n ? times[n - 1] : 0));
}

static json_t *sample_json(const struct sample *v)
{
	char time[TIMEFMT_MAX];

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "time",
			 timefmt_print(v->time_ns, time), "queued", (json_int_t)v->queued,
			 "running", (json_int_t)v->running, "started", (json_int_t)v->started,
			 "ended", (json_int_t)v->ended, "errors", (json_int_t)v->errors,
			 "memory_used", (json_int_t)v->memory_used, "start_p50_ms",
			 ms_or_null(v->p50_us, v->p50_us));
}

/* By whole samples: the second that has just begun says nothing yet. */
static double rate(const struct api_stats *s)
{
	uint64_t since = util_realtime_ns() - (RATE_SECONDS + 1) * SEC;
	uint64_t n = s->n_samples < RATE_SECONDS ? s->n_samples : RATE_SECONDS;
	uint64_t ended = 0;

	for (uint64_t i = s->n_samples - n; i < s->n_samples; i++)
		if (s->samples[i % SAMPLES].time_ns >= since)
			ended += s->samples[i % SAMPLES].ended;
	return n ? (double)ended / (double)n : 0;
}

void api_stats_add(struct front *f, uint64_t since_ns, json_t *ret)
{
	const struct api_stats *s = touch(f);
	json_t *starts = json_object(), *samples = json_array();

	for (int mode = START_COLD; s && mode < START_MODE_MAX; mode++)
		(void)json_object_set_new(starts, start_mode_name((enum start_mode)mode),
					  starts_json(s, (enum start_mode)mode));
	for (uint64_t i = s && s->n_samples > SAMPLES ? s->n_samples - SAMPLES : 0;
	     s && i < s->n_samples; i++)
		if (s->samples[i % SAMPLES].time_ns > since_ns)
			(void)json_array_append_new(samples, sample_json(&s->samples[i % SAMPLES]));
	(void)json_object_set_new(ret, "lifecycles_per_second", json_real(s ? rate(s) : 0));
	(void)json_object_set_new(ret, "starts", starts);
	(void)json_object_set_new(ret, "samples", samples);
}

bool api_checkpoint_cost(const struct front *f, const char *key, uint64_t *ret_dump_us,
			 uint64_t *ret_bytes)
{
	/* Newest first. */
	for (uint64_t i = f->run->stats ? f->run->stats->n_checkpoints : 0, n = 0;
	     i > 0 && n < CHECKPOINTS; i--, n++) {
		const struct checkpoint *c = &f->run->stats->checkpoints[(i - 1) % CHECKPOINTS];

		if (strcmp(c->key, key) != 0)
			continue;
		*ret_dump_us = c->dump_us;
		*ret_bytes = c->bytes;
		return true;
	}
	return false;
}

static void on_warmed(struct front *f, struct warm *w, const struct mon_warmed *m)
{
	struct api_stats *s = m->status < 0 ? NULL : touch(f);
	uint64_t dump_us = m->dump_us, us = 0, ignored;
	struct checkpoint *c;

	(void)w;
	if (!s)
		return;
	/* It was there before: what its dump took is known from then, if at all. */
	if (!dump_us && api_checkpoint_cost(f, m->key, &us, &ignored))
		dump_us = us;
	c = &s->checkpoints[s->n_checkpoints++ % CHECKPOINTS];
	(void)snprintf(c->key, sizeof(c->key), "%s", m->key);
	c->dump_us = dump_us;
	c->bytes = m->bytes;
}

static const struct listener listener = {
	.started = on_started, .over = on_over, .warmed = on_warmed};

static void api_stats_clear(struct front *f)
{
	if (!f->run->stats)
		return;
	(void)sd_event_source_disable_unref(f->run->stats->timer);
	free(f->run->stats);
	f->run->stats = NULL;
}

const struct capability api_stats_capability = {
	.name = "stats", .clear = api_stats_clear, .listener = &listener};
