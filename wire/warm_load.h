/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many warm-ups may run at a time, and whose. The front keeps to this. The monitor, which also
 * knows of warm-ups that a former front began, checks it with the same code.
 *
 * A project's first warm-up of a list of its own waits only for memory, never for another project's
 * warm-up. All others need one of a few places: further ones of a project, those of images' own
 * lists, and the operator's.
 */
#ifndef WIRE_WARM_LOAD_H
#define WIRE_WARM_LOAD_H

#include "wire/proto.h"

#define WARM_PLACES 6
/* How many of these places projects' further warm-ups may have, so that the operator's find a free
 * one. */
#define WARM_PLACES_OF_PROJECTS 4
/* The most of one project at a time. */
#define WARM_OF_PROJECT_MAX 4
/* The most projects that have warm-ups at a time, which is what the table below can count. */
#define WARM_PROJECTS_MAX 64

/* The warm-ups that run now; zeros: none. */
struct warm_load {
	uint64_t memory; /* the sum of their limits, in bytes */
	/* others: the operator's and the images'; further: projects' beyond their first */
	unsigned others, further;
	unsigned n_projects;
	struct {
		uint32_t owner;
		unsigned n;
	} projects[WARM_PROJECTS_MAX];
};

void warm_load_add(struct warm_load *load, enum warm_for wish, uint32_t owner, uint64_t memory);
/* Whether one more may run. memory: its limit; node_memory: what this machine has. */
bool warm_load_allows(const struct warm_load *load, enum warm_for wish, uint32_t owner,
		      uint64_t memory, uint64_t node_memory);
/* How many bytes of memory this machine has. */
uint64_t warm_node_memory(void);

#endif
