// SPDX-License-Identifier: Apache-2.0
/* The manifest of a service's version, which a push sends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/service_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct service_manifest m;
	struct err e = {0};
	const char *name;
	json_t *value;

	if (service_manifest_read("manifest", (const char *)data, size, &m, &e) < 0) {
		need(e.code != ERR_NONE && e.msg[0] && !m.doc);
		return 0;
	}
	need(service_is_app(m.app) && service_is_name(m.name) && m.type < SERVICE_TYPES);
	need(*m.approot && *m.approot != '/' && util_is_name(m.policy));
	need(m.n_http <= m.n_ports && m.n_ports <= SERVICE_PORTS_MAX);
	for (unsigned i = 0; i < m.n_ports; i++)
		need(service_is_name(m.ports[i].name) &&
		     (m.ports[i].kind == SERVICE_PORT_HTTP) == (i < m.n_http));
	need(m.instances >= 1 && m.start_s >= 1);
	json_object_foreach((json_t *)m.environment, name, value)
		need(service_is_variable(name) && json_is_string(value));
	service_manifest_clear(&m);
	return 0;
}
