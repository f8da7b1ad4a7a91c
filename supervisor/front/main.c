// SPDX-License-Identifier: Apache-2.0
/* sandboxd-front: wire/role_program.h says who executes it, and with what. */
#include "supervisor/front/front.h"

int main(int argc, char **argv, char **envp)
{
	struct front_config cfg = {0};

	front_config_read(&cfg, argc, argv, envp);
	return front_main(&cfg, front_capabilities) == 0 ? 0 : 1;
}
