/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor without roles, sandboxes or cgroups, in a folder of its own. */
#ifndef TESTS_UNIT_MONITOR_RIG_H
#define TESTS_UNIT_MONITOR_RIG_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/monitor/monitor.h"
#include "tests/unit/rig.h"

#define RIG_ID "0123456789abcdef01234567"

struct monitor_rig {
	char dir[32];
	struct monitor *m;
};

static int monitor_setup(void **state)
{
	struct monitor_rig *rig = calloc(1, sizeof(*rig));
	struct monitor *m = calloc(1, sizeof(*m));

	assert_non_null(rig);
	assert_non_null(m);
	strcpy(rig->dir, "/tmp/monitor.XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	rig->m = m;
	assert_int_equal(idtable_init(&m->boxes, 64), 0);
	m->tasks_fd = open(rig->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(m->tasks_fd >= 0);
	assert_true(sd_event_new(&m->event) >= 0);
	m->net_used = calloc(NET_INDEX_MAX + 1, 1);
	assert_non_null(m->net_used);
	m->cgroups.unified = -1;
	for (int i = 0; i < CGROUP_N; i++)
		m->cgroups.dirs[i] = -1;
	m->images_fd = m->policies_fd = m->checkpoints_fd = -1;
	strcpy(m->boot_id, "this-boot");
	for (int i = 0; i < R_N; i++)
		chan_init(&m->roles[i].chan, -1, false);
	*state = rig;
	return 0;
}

static int monitor_teardown(void **state)
{
	struct monitor_rig *rig = *state;
	struct monitor *m = rig->m;
	char command[64];

	box_each(m, b) box_free(b);
	idtable_clear(&m->boxes);
	(void)sd_event_unref(m->event);
	(void)close(m->tasks_fd);
	free(m->net_used);
	free(m);
	(void)snprintf(command, sizeof(command), "rm -rf %s", rig->dir);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
	free(rig);
	return 0;
}

#define WITH_MONITOR(test) cmocka_unit_test_setup_teardown(test, monitor_setup, monitor_teardown)

/* Makes a run's record, as the monitor writes it before the start.
 * 
 * Not inlined: gcc 12 with a sanitizer warns as if the struct's first member were all that is
 * passed. */
RIG_UNUSED static __attribute__((noinline)) int record_new(struct monitor *m, const char *id,
							   const struct run_record *run)
{
	int fd = openat(m->tasks_fd, id, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, RUN_RECORD_SIZE), 0);
	assert_int_equal(pwrite(fd, run, sizeof(*run), 0), sizeof(*run));
	return fd;
}

RIG_UNUSED static bool record_is_there(const struct monitor *m, const char *id)
{
	return faccessat(m->tasks_fd, id, F_OK, 0) == 0;
}

#endif
