/* SPDX-License-Identifier: Apache-2.0 */
/* What ps(1) shows of a role: "sandboxd: NAME". The name of the command stays sandboxd. */
#ifndef LIB_TITLE_H
#define LIB_TITLE_H

/* The first call in main(). The texts of argv and envp are overwritten by the first title_set(). */
void title_init(int argc, char **argv, char **envp);
void title_set(const char *name);

#endif
