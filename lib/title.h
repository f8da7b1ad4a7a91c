/* SPDX-License-Identifier: Apache-2.0 */
/* What ps shows of a role: "sandboxd: NAME". The command's name stays sandboxd. */
#ifndef LIB_TITLE_H
#define LIB_TITLE_H

/* First thing in main(); argv's and envp's texts are lost with the first title_set(). */
void title_init(int argc, char **argv, char **envp);
void title_set(const char *name);

#endif
