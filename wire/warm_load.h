/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many warm-ups may run at a time, and whose. The front keeps to it, and the monitor, which
 * knows what a former front began, checks it with the same code.
 *
 * A project's first warm-up of a list of its own waits for nobody else's, as long as there is
 * memory for one more. What is beyond that needs one of a few places: a project's further
 * ones, those of the images' own lists, the operator's.
 */
#ifndef WIRE_WARM_LOAD_H
#define WIRE_WARM_LOAD_H

#include "wire/proto.h"

#define WARM_PLACES 6
/* Of those for the projects' further ones, so that the operator's find one. */
#define WARM_PLACES_OF_PROJECTS 4
/* At a time of one project. */
#define WARM_OF_PROJECT_MAX 4
/* Projects that have one at a time: what the table below can count. */
#define WARM_PROJECTS_MAX 64

/* What runs now. Zero: nothing. */
struct warm_load {
	uint64_t memory;	  /* the limits of all together, in bytes */
	unsigned others, further; /* the operator's and images'; projects' beyond their first */
	unsigned n_projects;
	struct {
		uint32_t owner;
		unsigned n;
	} projects[WARM_PROJECTS_MAX];
};

void warm_load_add(struct warm_load *load, enum warm_for wish, uint32_t owner, uint64_t memory);
/* One more may run. memory: its limit; node_memory: what this machine has. */
bool warm_load_allows(const struct warm_load *load, enum warm_for wish, uint32_t owner,
		      uint64_t memory, uint64_t node_memory);
/* Bytes of memory that this machine has. */
uint64_t warm_node_memory(void);

#endif
