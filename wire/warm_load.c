// SPDX-License-Identifier: Apache-2.0
#include "wire/warm_load.h"

#include <sys/sysinfo.h>

static unsigned count_of(const struct warm_load *load, uint32_t owner)
{
	for (unsigned i = 0; i < load->n_projects; i++)
		if (load->projects[i].owner == owner)
			return load->projects[i].n;
	return 0;
}

void warm_load_add(struct warm_load *load, enum warm_for wish, uint32_t owner, uint64_t memory)
{
	unsigned i = 0;

	load->memory += memory;
	if (wish != WARM_FOR_TASK) {
		load->others++;
		return;
	}
	while (i < load->n_projects && load->projects[i].owner != owner)
		i++;
	if (i < load->n_projects) {
		load->projects[i].n++;
		load->further++;
	} else if (i < WARM_PROJECTS_MAX) {
		load->projects[i].owner = owner;
		load->projects[i].n = 1;
		load->n_projects++;
	}
}

bool warm_load_allows(const struct warm_load *load, enum warm_for wish, uint32_t owner,
		      uint64_t memory, uint64_t node_memory)
{
	/* Half of the machine's memory is for tasks. A warm-up that wants more than the other half
	 * may run when no other does. */
	const uint64_t ours = node_memory / 2;
	const bool place = load->others + load->further < WARM_PLACES;
	const unsigned n = count_of(load, owner);

	if (wish != WARM_FOR_TASK)
		return place;
	if (n == 0)
		return load->n_projects < WARM_PROJECTS_MAX &&
		       (load->memory == 0 || load->memory + memory <= ours);
	/* Projects' further warm-ups leave half of the warm-ups' memory to the first ones of other
	 * projects. */
	return n < WARM_OF_PROJECT_MAX && place && load->further < WARM_PLACES_OF_PROJECTS &&
	       load->memory + memory <= ours / 2;
}

uint64_t warm_node_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}
