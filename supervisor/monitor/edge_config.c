// SPDX-License-Identifier: Apache-2.0
/*
 * nginx's configuration for the edge. It is the same for all workers there are and will be: which
 * they are, nginx's Lua finds in the table that the front has put (supervisor/edge/). Where a
 * directive is not nginx's default, the comment in the text says why.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "lib/address.h"
#include "supervisor/monitor/edge.h"

/* nginx makes one process for each processor; more than these only share less. */
#define PROCESSES_MAX 8L
/* Of all processes. One address has less than 65536 ports, so that a client that opens connections and
 * sends nothing whole takes no more than a half, wherever the kernel brings them. */
#define CONNECTIONS 131072L
#define CONNECTIONS_MAX 65536L /* of a process */

/* Requests of one address at a time, in a server that the world reaches. */
#define PUT_CLIENTS "\t\tlimit_conn sandboxd_clients 4096;\n"

/* What nginx and Lua read as it stands, between quotes of either. */
static int check_path(const char *option, const char *path, struct err *e)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/._-+,:@=~ ";

	if (path[strspn(path, plain)])
		return err_set(e, ERR_USAGE, 0,
			       "%s %s: has a character that cannot stand in nginx's configuration: "
			       "use another folder, or --edge-http none",
			       option, path);
	return 0;
}

static void put_main(FILE *f, const struct config *cfg, const struct edge_config *c)
{
	const long there = sysconf(_SC_NPROCESSORS_ONLN);
	const long n = MIN(MAX(there, 1L), PROCESSES_MAX);
	const long connections = MIN(CONNECTIONS / n, CONNECTIONS_MAX);

	(void)fprintf(f,
		      "# Written by sandboxd at each start; changes are lost.\n"
		      "daemon off;\n"
		      "pid \"%s/edge-tmp/nginx.pid\";\n"
		      "worker_processes %ld;\n"
		      "error_log \"%s\" warn;\n"
		      "load_module /usr/lib/nginx/modules/ndk_http_module.so;\n"
		      "load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;\n"
		      "pcre_jit on;\n"
		      "events { worker_connections %ld; }\n",
		      cfg->run, n, c->error_log, connections);
}

static void put_lua(FILE *f, const struct config *cfg, const char *share)
{
	(void)fprintf(f,
		      "\tlua_package_path \"%s/?.lua;/usr/share/lua/5.1/?.lua;;\";\n"
		      /* Memory is taken as it is used. */
		      "\tlua_shared_dict sandboxd_table 64m;\n"
		      "\tlua_shared_dict sandboxd_counts 8m;\n"
		      "\tlua_shared_dict sandboxd_stats 16m;\n"
		      "\tlua_max_running_timers 4096;\n"
		      "\tlua_max_pending_timers 4096;\n"
		      /* A front that is being started again is no error. */
		      "\tlua_socket_log_errors off;\n"
		      "\tinit_by_lua_block {\n"
		      "\t\tlocal config = {domain = \"%s\", folder = \"%s/edge\", "
		      "assets = \"%s/assets\", certificates = \"%s/edge-keys\"}\n"
		      "\t\trequire(\"edge\").init(config)\n"
		      "\t\trequire(\"certificates\").init(config)\n"
		      "\t}\n"
		      "\tinit_worker_by_lua_block { require(\"edge\").init_worker() }\n",
		      share, cfg->domain, cfg->run, cfg->state, cfg->run);
}

static void put_http(FILE *f, const struct config *cfg, const char *share)
{
	(void)fprintf(f,
		      "\tinclude \"%s/types.conf\";\n"
		      "\tdefault_type application/octet-stream;\n"
		      "\tserver_tokens off;\n"
		      "\tclient_body_temp_path \"%s/edge-tmp/body\";\n"
		      "\tproxy_temp_path \"%s/edge-tmp/proxy\";\n"
		      "\tfastcgi_temp_path \"%s/edge-tmp/fastcgi\";\n"
		      "\tuwsgi_temp_path \"%s/edge-tmp/uwsgi\";\n"
		      "\tscgi_temp_path \"%s/edge-tmp/scgi\";\n",
		      share, cfg->run, cfg->run, cfg->run, cfg->run, cfg->run);
	(void)fputs("\tsendfile on;\n"
		    "\ttcp_nopush on;\n"
		    /* The instance sees the target as the client wrote it. */
		    "\tmerge_slashes off;\n"
		    /* A client that is slow in one of these is let go. */
		    "\tclient_header_timeout 10s;\n"
		    "\tclient_body_timeout 30s;\n"
		    "\tsend_timeout 30s;\n"
		    "\tkeepalive_timeout 65s;\n"
		    "\tkeepalive_requests 100000;\n"
		    "\treset_timedout_connection on;\n"
		    "\tclient_header_buffer_size 4k;\n"
		    "\tlarge_client_header_buffers 8 16k;\n"
		    "\tclient_max_body_size 100m;\n"
		    /* Whose head has come has at most two connections of nginx's each. */
		    "\tlimit_conn_zone $binary_remote_addr zone=sandboxd_clients:8m;\n"
		    "\tlimit_conn_status 429;\n"
		    "\tlimit_conn_log_level info;\n"
		    "\tuninitialized_variable_warn off;\n",
		    f);
}

static void put_log(FILE *f, const struct config *cfg)
{
	/* sandboxd_peer: worker, version and instance. */
	(void)fprintf(f,
		      "\tmap $sandboxd_peer $sandboxd_log {\n"
		      "\t\t\"\" \"- - -\";\n"
		      "\t\tdefault $sandboxd_peer;\n"
		      "\t}\n"
		      "\tlog_format sandboxd '$time_iso8601 $host $sandboxd_log $request_id "
		      "$request_method $status $bytes_sent $request_time \"$request_uri\"';\n"
		      "\tlog_format sandboxd_api '$time_iso8601 $host - - - $request_id "
		      "$request_method $status $bytes_sent $request_time \"$uri\"';\n"
		      "\taccess_log \"%s/edge/access.log\" sandboxd buffer=64k flush=1s;\n",
		      cfg->state);
}

static void put_upstreams(FILE *f, const struct config *cfg, const struct edge_sockets *sockets)
{
	/* The front lets go of an idle connection after 20 s. */
	if (sockets->api >= 0)
		(void)fprintf(f,
			      "\tupstream sandboxd_api {\n"
			      "\t\tserver \"unix:%s/edge/api.sock\" max_fails=0;\n"
			      "\t\tkeepalive 32;\n"
			      "\t\tkeepalive_requests 1000000;\n"
			      "\t\tkeepalive_timeout 10s;\n"
			      "\t}\n",
			      cfg->run);

	/* The address is never used: each request has its own, which the balancer sets. Connections
	 * are kept by it. nginx lets go of an idle one before any instance would, so that a request
	 * is not sent into a connection that is being closed. */
	(void)fputs("\tupstream sandboxd_instances {\n"
		    "\t\tserver 0.0.0.1;\n"
		    "\t\tbalancer_by_lua_block { require(\"edge\").balance() }\n"
		    "\t\tkeepalive 256;\n"
		    "\t\tkeepalive_requests 1000000;\n"
		    "\t\tkeepalive_timeout 30s;\n"
		    "\t}\n"
		    "\tupstream sandboxd_once {\n"
		    "\t\tserver 0.0.0.1;\n"
		    "\t\tbalancer_by_lua_block { require(\"edge\").balance() }\n"
		    "\t}\n",
		    f);
}

static void put_listen(FILE *f, int fd, const char *how)
{
	char address[HTTP_ADDRESS_MAX];

	if (fd >= 0 && http_address_of(fd, address) == 0)
		(void)fprintf(f, "\t\tlisten %s%s;\n", address, how);
}

static void put_tls(FILE *f)
{
	/* nginx wants a certificate to be named. The name is a variable, so nothing is read for it,
	 * and the Lua sets the one that the handshake gets. */
	(void)fputs("\t\tset $sandboxd_none \"\";\n"
		    "\t\tssl_certificate $sandboxd_none;\n"
		    "\t\tssl_certificate_key $sandboxd_none;\n"
		    "\t\tssl_certificate_by_lua_block { require(\"certificates\").serve() }\n"
		    "\t\tssl_protocols TLSv1.2 TLSv1.3;\n"
		    "\t\tssl_session_cache shared:sandboxd_tls:8m;\n"
		    "\t\tssl_session_timeout 1h;\n",
		    f);
}

/* Of a server: how it asks instances, and what it says itself. */
static void put_proxy(FILE *f)
{
	(void)fputs(
		"\t\terror_page 400 402 403 404 405 406 408 409 410 411 412 413 414 415 416 421 "
		"429 500 501 502 503 504 505 /.sandboxd/error;\n"
		"\t\terror_page 494 =431 /.sandboxd/error;\n"
		"\t\terror_page 495 496 497 =400 /.sandboxd/error;\n"
		"\t\tproxy_http_version 1.1;\n"
		/* Bodies pass both ways as they come. */
		"\t\tproxy_buffering off;\n"
		"\t\tproxy_request_buffering off;\n"
		"\t\tproxy_buffer_size 16k;\n"
		"\t\tproxy_buffers 8 16k;\n"
		"\t\tproxy_busy_buffers_size 32k;\n"
		/* Which failures are tried again is the balancer's to say, by what was sent. */
		"\t\tproxy_next_upstream error non_idempotent;\n"
		/* What an instance says is for the client: nginx does nothing for it. */
		"\t\tproxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate "
		"X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;\n"
		"\t\tproxy_redirect off;\n"
		"\t\tproxy_pass_header Date;\n"
		"\t\tproxy_set_header Connection $sandboxd_connection;\n"
		"\t\tproxy_set_header Upgrade $sandboxd_upgrade;\n"
		"\t\tproxy_set_header X-Request-ID $request_id;\n"
		"\t\tproxy_set_header Proxy \"\";\n"
		"\t\tproxy_set_header Proxy-Connection \"\";\n"
		"\t\tproxy_set_header Proxy-Authorization \"\";\n",
		f);
}

/* Of a location: what edge.lua may change. */
static void put_begin(FILE *f)
{
	(void)fputs("\t\t\tset $sandboxd_peer \"\";\n"
		    "\t\t\tset $sandboxd_upstream sandboxd_instances;\n"
		    "\t\t\tset $sandboxd_connection \"\";\n"
		    "\t\t\tset $sandboxd_upgrade \"\";\n"
		    "\t\t\tset $sandboxd_assets \"\";\n"
		    "\t\t\tset $sandboxd_status \"\";\n"
		    "\t\t\tset $sandboxd_changes \"\";\n"
		    "\t\t\tset $sandboxd_inner \"\";\n"
		    "\t\t\tset $sandboxd_failed \"\";\n",
		    f);
}

/* Of a server: where its other locations lead to. */
static void put_internal(FILE *f, const struct config *cfg)
{
	(void)fprintf(
		f,
		/* The files of assets, by the path that assets.lua has found. */
		"\t\tlocation /.sandboxd/assets/ {\n"
		"\t\t\tinternal;\n"
		"\t\t\talias $sandboxd_assets/files/;\n"
		"\t\t\tdefault_type \"\";\n"
		"\t\t\tcharset utf-8;\n"
		"\t\t\tcharset_types text/css text/plain text/csv text/markdown text/xml "
		"text/javascript text/calendar text/vcard text/tab-separated-values text/yaml "
		"text/cache-manifest;\n"
		"\t\t\tdisable_symlinks on from=\"%s/assets\";\n"
		"\t\t\tif_modified_since off;\n"
		"\t\t\theader_filter_by_lua_block { require(\"edge\").asset() }\n"
		"\t\t\tlog_by_lua_block { require(\"edge\").log() }\n"
		"\t\t}\n"
		/* Not a named one: those cannot be reached from a request without a readable path. */
		"\t\tlocation = /.sandboxd/error {\n"
		"\t\t\tinternal;\n"
		"\t\t\tcontent_by_lua_block { require(\"edge\").error() }\n"
		"\t\t}\n",
		cfg->state);
}

static void put_worlds_server(FILE *f, const struct config *cfg, const struct edge_sockets *sockets)
{
	(void)fputs("\tserver {\n", f);
	put_listen(f, sockets->http, " default_server backlog=4096");
	put_listen(f, sockets->https, " ssl default_server backlog=4096");
	if (sockets->https >= 0)
		put_tls(f);
	(void)fputs("\t\tserver_name _;\n" PUT_CLIENTS, f);
	put_proxy(f);
	(void)fputs("\t\tproxy_set_header Host $http_host;\n"
		    "\t\tproxy_set_header X-Forwarded-For $remote_addr;\n"
		    "\t\tproxy_set_header X-Forwarded-Proto $scheme;\n"
		    "\t\tproxy_set_header X-Forwarded-Protocol $sandboxd_protocol;\n"
		    "\t\tproxy_set_header X-Forwarded-Port $sandboxd_port;\n"
		    "\t\tproxy_set_header X-Forwarded-Host \"\";\n"
		    "\t\tproxy_set_header X-Real-IP $remote_addr;\n"
		    "\t\tproxy_set_header CF-Connecting-IP $remote_addr;\n"
		    "\t\tproxy_set_header Forwarded \"\";\n"
		    /* By these the front says more of a request, and nobody else. */
		    "\t\tproxy_set_header X-Sandboxd-Depth \"\";\n"
		    "\t\tproxy_set_header X-Sandboxd-Entrypoint \"\";\n"
		    "\t\tproxy_hide_header X-Sandboxd-Exception;\n"
		    "\t\theader_filter_by_lua_block { require(\"edge\").header() }\n"
		    "\t\tlog_by_lua_block { require(\"edge\").log() }\n"
		    "\t\tlocation / {\n",
		    f);
	put_begin(f);
	/* A worker has what its client has sent; a service has what is so. */
	(void)fputs("\t\t\tset $sandboxd_protocol $http_x_forwarded_protocol;\n"
		    "\t\t\tset $sandboxd_port $http_x_forwarded_port;\n"
		    "\t\t\taccess_by_lua_block { require(\"edge\").access() }\n"
		    "\t\t\tproxy_pass http://$sandboxd_upstream;\n"
		    "\t\t}\n",
		    f);
	put_internal(f, cfg);
	(void)fputs("\t}\n", f);
}

/* The API and the dashboard, at a host of their own. The front reads bodies as they come, for it says
 * how long they may be and whose they are. */
static void put_api_server(FILE *f, const struct config *cfg, const struct edge_sockets *sockets,
			   const struct edge_config *c)
{
	if (sockets->api < 0)
		return;
	(void)fputs("\tmap $http_upgrade $sandboxd_api_connection {\n"
		    "\t\t\"\" \"\";\n"
		    "\t\tdefault upgrade;\n"
		    "\t}\n"
		    "\tserver {\n",
		    f);
	put_listen(f, sockets->http, "");
	put_listen(f, sockets->https, " ssl");
	if (sockets->https >= 0)
		put_tls(f);
	/* A token may stand in a query, so no log has a request's line. */
	(void)fprintf(f,
		      "\t\tserver_name %s;\n"
		      "\t\taccess_log \"%s/edge/access.log\" sandboxd_api buffer=64k flush=1s;\n"
		      "\t\terror_log \"%s\" emerg;\n",
		      cfg->api_name, cfg->state, c->error_log);
	(void)fputs(PUT_CLIENTS
		    "\t\tset $sandboxd_peer \"\";\n"
		    "\t\terror_page 429 400 408 411 413 414 500 502 503 504 /.sandboxd/error;\n"
		    "\t\terror_page 494 =431 /.sandboxd/error;\n"
		    "\t\terror_page 495 496 497 =400 /.sandboxd/error;\n"
		    "\t\tclient_max_body_size 512m;\n"
		    "\t\tproxy_http_version 1.1;\n"
		    "\t\tproxy_buffering off;\n"
		    "\t\tproxy_request_buffering off;\n"
		    /* A request may wait for the end of its task, and a log for its next line. */
		    "\t\tproxy_read_timeout 1d;\n"
		    "\t\tproxy_next_upstream off;\n"
		    "\t\tproxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate "
		    "X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;\n"
		    "\t\tproxy_redirect off;\n"
		    "\t\tproxy_set_header Host $http_host;\n"
		    "\t\tproxy_set_header Upgrade $http_upgrade;\n"
		    "\t\tproxy_set_header Connection $sandboxd_api_connection;\n"
		    "\t\tproxy_set_header X-Forwarded-For $remote_addr;\n"
		    "\t\tproxy_set_header X-Forwarded-Proto $scheme;\n"
		    "\t\tproxy_set_header Proxy \"\";\n"
		    "\t\tlocation / { proxy_pass http://sandboxd_api; }\n"
		    "\t\tlocation = /.sandboxd/error {\n"
		    "\t\t\tinternal;\n"
		    "\t\t\tcontent_by_lua_block { require(\"edge\").api_error() }\n"
		    "\t\t}\n"
		    "\t}\n",
		    f);
}

static void put_fronts_server(FILE *f, const struct config *cfg)
{
	(void)fprintf(f,
		      "\tserver {\n"
		      "\t\tlisten \"unix:%s/edge/edge.sock\" backlog=4096;\n"
		      "\t\taccess_log off;\n"
		      "\t\tkeepalive_timeout 7d;\n"
		      "\t\tkeepalive_requests 1000000000;\n"
		      "\t\tclient_max_body_size 64m;\n"
		      "\t\tclient_body_buffer_size 1m;\n"
		      "\t\tlocation / { content_by_lua_block { require(\"control\").serve() } }\n",
		      cfg->run);
	put_proxy(f);
	/* What a worker asks of another one has the fields that it has given. Behind such a request
	 * nothing is read: it could tell the edge what the front alone may. */
	(void)fputs("\t\tproxy_set_header Host $http_x_sandboxd_host;\n"
		    "\t\tproxy_set_header X-Forwarded-Proto $http_x_sandboxd_scheme;\n"
		    "\t\tproxy_set_header X-Sandboxd-Host \"\";\n"
		    "\t\tproxy_set_header X-Sandboxd-Scheme \"\";\n"
		    "\t\tproxy_set_header X-Sandboxd-Target \"\";\n"
		    "\t\tproxy_set_header X-Sandboxd-Worker \"\";\n"
		    "\t\tlocation = /.sandboxd/fetch {\n"
		    "\t\t\tkeepalive_timeout 0;\n",
		    f);
	put_begin(f);
	/* Code may be busy for a while before it sends or takes the next piece of a body. */
	(void)fputs("\t\t\tset $sandboxd_target \"\";\n"
		    "\t\t\tclient_max_body_size 100m;\n"
		    "\t\t\tclient_body_timeout 10m;\n"
		    "\t\t\tsend_timeout 10m;\n"
		    "\t\t\taccess_by_lua_block { require(\"edge\").fetch() }\n"
		    "\t\t\theader_filter_by_lua_block { require(\"edge\").header() }\n"
		    "\t\t\tlog_by_lua_block { require(\"edge\").log() }\n"
		    "\t\t\tproxy_pass http://$sandboxd_upstream$sandboxd_target;\n"
		    "\t\t}\n",
		    f);
	put_internal(f, cfg);
	(void)fputs("\t}\n", f);
}

int edge_config_make(const struct config *cfg, const struct edge_sockets *sockets,
		     const char *share, struct edge_config *ret, struct err *e)
{
	_cleanup_fd_ int dir = open(cfg->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f;
	int r = check_path("--run", cfg->run, e);

	if (r == 0)
		r = check_path("--state", cfg->state, e);
	if (r == 0)
		r = check_path("SANDBOXD_SHARE", share, e);
	if (r < 0)
		return r;
	(void)snprintf(ret->path, sizeof(ret->path), "%s/edge.conf", cfg->run);
	(void)snprintf(ret->error_log, sizeof(ret->error_log), "%s/edge/error.log", cfg->state);
	f = open_memstream(&text, &len);
	if (!f)
		return err_set(e, ERR_SYSTEM, errno, "%s", ret->path);
	put_main(f, cfg, ret);
	(void)fputs("http {\n", f);
	put_lua(f, cfg, share);
	put_http(f, cfg, share);
	put_log(f, cfg);
	put_upstreams(f, cfg, sockets);
	put_worlds_server(f, cfg, sockets);
	put_api_server(f, cfg, sockets, ret);
	put_fronts_server(f, cfg);
	(void)fputs("}\n", f);
	if (fclose(f) != 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", ret->path);
	r = dir < 0 ? -errno : util_write_file_at(dir, "edge.conf", 0644, text, len);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s", ret->path) : 0;
}
