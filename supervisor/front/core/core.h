/* SPDX-License-Identifier: Apache-2.0 */
/* What there is: projects, workers, packages, and what images and policies are called. */
#ifndef SUPERVISOR_FRONT_CORE_CORE_H
#define SUPERVISOR_FRONT_CORE_CORE_H

#include "lib/idtable.h"
#include "lib/image.h"
#include "lib/policy.h"
#include "supervisor/front/base/base.h"
#include "supervisor/front/base/capability.h"
#include "supervisor/front/base/turn.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/core/project.h"
#include "supervisor/front/core/secret.h"
#include "supervisor/front/core/worker.h"
#include "supervisor/front/store/store.h"

#define RESOLVE_CACHE 16
#define PROJECT_BUCKETS 1024u /* a power of two */

struct core {
	struct known *worker_known;	/* worker_packages.c: being read */
	uint8_t (*worker_packages)[32]; /* NULL: not known */
	size_t n_worker_packages;
	unsigned n_unpacking;	/* of unpacks, those that a child is at */
	struct unpack *unpacks; /* package.c */
	uint64_t unpack_turn;
	sd_event_source *pruner;      /* NULL when none runs */
	sd_event_source *prune_timer; /* for what was left a moment before one ran */
	uint64_t left_pruned_ns;      /* CLOCK_MONOTONIC: when one began for what was left */
	uint64_t pruning_ns;	      /* CLOCK_REALTIME: what was left before that goes with it */
	unsigned n_policies;
	struct project *projects; /* project.c, by name; the default one is there */
	struct project *coming;	  /* those that are about to be durable, in no order */
	struct idtable projects_by_id;
	struct idnode *project_buckets[PROJECT_BUCKETS];
	struct token *token_buckets[PROJECT_BUCKETS];
	struct secret_key secret_key;
	uint32_t slot_last; /* of the project that was made last */
	struct {
		uint8_t id[32];
		struct policy_head head;
	} policies[RESOLVE_CACHE];
};

/* resolve.c: names to what they stand for now. */
int resolve_image(struct front *f, const char *name, uint8_t digest[32], struct image_head *ret,
		  struct err *e);
int resolve_policy(struct front *f, const char *name, uint8_t id[32], struct policy_head *ret,
		   struct err *e);

/*
 * package.c: unpacks the tar in archive_fd (taken) for a task of this project. done is called
 * once, possibly before the call returns: with the package's digest and an O_PATH fd of its
 * folder, which becomes the callee's; or with error (then digest is NULL and dirfd -1).
 */
typedef void (*package_fn)(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
			   const struct err *error);
void package_unpack(struct front *f, const struct project *p, int archive_fd, package_fn done,
		    void *arg);
/* The same of a file of our own on a disk, which nobody else writes to: always in a child. */
void package_unpack_file(struct front *f, const struct project *p, int archive_fd, package_fn done,
			 void *arg);
/* As package_unpack, told what the folder takes on the disk (is->size), without a descriptor of it. */
void package_unpack_sized(struct front *f, const struct project *p, int archive_fd,
			  package_zip_fn done, void *arg);
/* The same of a tar in a file of package_spool, from its offset 0. */
void package_unpack_spool(struct front *f, const struct project *p, int spool_fd,
			  package_zip_fn done, void *arg);
int package_open(struct front *f, const uint8_t digest[32]); /* O_PATH or -errno */
void package_sync(struct front *f);
/* package/prune.c: removes, in a child, the zips and folders that no worker and no task has, and of the
 * folders that came with `run` those beyond cfg.packages_keep bytes. */
void package_prune(struct front *f);
/* A package of this project is on the disk that no worker has, or has any more. It is pruned soon, and
 * counts against the project until it has been removed. */
void package_left(struct front *f, struct project *p, const struct package_size *size);

/* Each with what it loads, and what becomes of it when a project goes. */
extern const struct capability project_capability, package_capability, worker_capability;

#endif
