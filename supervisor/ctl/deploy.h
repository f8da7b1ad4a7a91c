/* SPDX-License-Identifier: Apache-2.0 */
/* Words of `sandboxctl deploy` that have files of their own. */
#ifndef SUPERVISOR_CTL_DEPLOY_H
#define SUPERVISOR_CTL_DEPLOY_H

struct ctl;

/* deploy_index.c */
int deploy_index(struct ctl *ctl, int argc, char **argv);

#endif
