#!/usr/bin/env bats
# A machine where a part of the edge is missing or broken: all else works, and it is said what.
# shellcheck disable=SC2154 # run sets status
load daemon

setup_file() {
	printf '%s\n' 'mount -t tmpfs none /usr/lib/nginx/modules' 'exec "$@"' >"$BATS_FILE_TMPDIR/without"
	export EDGE=127.0.0.1:0 WITHOUT="unshare --mount --propagation private sh -e $BATS_FILE_TMPDIR/without"
	UNDER=$WITHOUT daemon_make
}

@test "without nginx's Lua module the daemon runs, and says what is missing" {
	[ "$(grep -c 'edge: HTTP workers are not served, for there is no /usr/lib/nginx/modules/ngx_http_lua_module.so' \
		"$WORK/log")" = 1 ]
	[ ! -e "$RUN/edge-http" ]
	[ "$(sandboxctl run python --code 'print(6 * 7)')" = 42 ]
	# shellcheck disable=SC2086 # words
	run $WITHOUT "$CTL" doctor
	grep -qE '^WARN +edge +there is no .*ngx_http_lua_module.so' <<<"$output"
	sandboxctl doctor | grep -qE '^OK +edge '
}

@test "a configuration that nginx does not take is not used, and the daemon runs" {
	daemon_stop
	cp -r "$SANDBOXD_SHARE" share
	echo 'this is no configuration' >>share/edge/types.conf
	SANDBOXD_SHARE=$PWD/share daemon_start
	wait_until "$PATIENCE" file_has "$WORK/log" 'edge: nginx does not take its configuration' ||
		fail "$(cat "$WORK/log"; ps -ef)"
	[ -z "$(role edge)" ]
	[ "$(sandboxctl run python --code 'print(6 * 7)')" = 42 ]
	# With the right one it is used.
	daemon_stop
	daemon_start
	wait_until "$PATIENCE" serves
}

serves() {
	[[ $(curl -sS -m "$PATIENCE" "http://$(cat "$RUN/edge-http")/") == '404 '* ]]
}
