/* SPDX-License-Identifier: Apache-2.0 */
/* When the crons of a worker are due, in UTC. */
#ifndef SUPERVISOR_FRONT_WEB_CRON_H
#define SUPERVISOR_FRONT_WEB_CRON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "lib/cron.h"
#include "supervisor/front/store/web.h"

#define WEB_RESULT_MAX 256u /* bytes of an exception's text that are kept */

struct front;
struct web_job;
struct web_worker;

/* One line of the deployment in force. What it was like last is in memory alone; when that was is in the
 * store too. */
struct web_cron {
	LIST_ENTRY(web_cron) next;
	struct front *f;
	struct web_worker *worker;
	char line[WEB_CRON_LINE_MAX + 1];
	struct cron times;
	sd_event_source *timer;
	uint64_t from_ns; /* CLOCK_REALTIME, as all here: the next time is the first one after it */
	uint64_t next_ns;
	uint64_t last_ns; /* when it was called last; 0: never */
	struct web_job
		*job; /* the call that is under way, of which there is one at most; or NULL */
	bool named;   /* while those of a new deployment are compared with those that are there */
	unsigned skipped; /* times that came while a call was under way */
	bool ended, ok;	  /* the last call has, and how */
	uint64_t took_ns;
	char message[WEB_RESULT_MAX];
};

/* The next time, after from_ns. A time that has passed is due now, and once, however many more have. */
void web_cron_plan(struct web_cron *c, uint64_t from_ns);
/* What is to be done at now_ns. Where it is due, the next time is planned, and one that comes while a
 * call is under way is counted as skipped. */
enum web_cron_turn { WEB_CRON_WAIT = 0, WEB_CRON_SKIP, WEB_CRON_CALL };
enum web_cron_turn web_cron_turn(struct web_cron *c, uint64_t now_ns);
/* The clock was set to now_ns. */
void web_cron_settle(struct web_cron *c, uint64_t now_ns);

#endif
