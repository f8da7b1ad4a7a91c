// SPDX-License-Identifier: Apache-2.0
/* The description of all that can be asked over HTTP, as it is in openapi.json beside this file. */
#include "supervisor/front/api/verbs.h"

__asm__(".section .rodata\n"
	"api_openapi_text:\n"
	".incbin \"supervisor/front/api/openapi.json\"\n"
	"api_openapi_end:\n"
	".previous\n");
extern const char api_openapi_text[], api_openapi_end[];

int verb_openapi(struct call *c, struct err *e)
{
	(void)e;
	http_text(c->http, 200, "application/json", api_openapi_text,
		  (size_t)(api_openapi_end - api_openapi_text));
	return 0;
}
