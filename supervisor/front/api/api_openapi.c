// SPDX-License-Identifier: Apache-2.0
/* The description of both tables, as it is in openapi.json beside this file. */
#include "supervisor/front/api/api.h"

__asm__(".section .rodata\n"
	"api_openapi_text:\n"
	".incbin \"supervisor/front/api/openapi.json\"\n"
	"api_openapi_end:\n"
	".previous\n");
extern const char api_openapi_text[], api_openapi_end[];

int api_openapi(struct http_request *r, struct err *e)
{
	(void)e;
	http_text(r, 200, "application/json", api_openapi_text,
		  (size_t)(api_openapi_end - api_openapi_text));
	return 0;
}
