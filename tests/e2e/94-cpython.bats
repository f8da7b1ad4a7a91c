#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# CPython's own tests of its standard library, as a task in each start mode, and in the same root under
# bwrap: each test that passes there passes here, but for what the policy refuses by name, and the start
# modes do not differ in any.
#
#	MODULES  how many of the modules below

load daemon

MODULES=${MODULES:-$(count 3 1000)}

setup_file() {
	local image root

	paths
	root=$(realpath "$IMAGES/by-name/python/rootfs")
	LIB=$(cd "$root" && echo usr/lib/python3.[0-9]*)
	[ -f "/$LIB/test/regrtest.py" ] || fail "there is no /$LIB/test: scripts/setup --test installs it"
	daemon_make
	# Images do not have the tests: this copy of an image has them, and its other files are links.
	image=$STATE/images/$(printf cpython | sha256sum | cut -d ' ' -f 1)
	cp -al "$(realpath "$STATE/images/by-name/python")" "$image"
	ln -s "../${image##*/}" "$STATE/images/by-name/cpython"
	cp -r "/$LIB/test" "$image/rootfs/$LIB/"
	cp -n "/$LIB"/lib-dynload/_*test*.so "$image/rootfs/$LIB/lib-dynload/"
	export ROOT=$image/rootfs
	sandboxctl image warm cpython >/dev/null
	forks cpython
	mkdir "$WORK/job"
	cp "$E2E/cpython.py" "$WORK/job/"
	echo '{"exec": "cpython.py", "limits": {"memory": "1G", "disk": "512M", "pids": 500, "nofile": 4096,
		"cpus": 2, "timeout": 1800}}' >"$WORK/job/task.json"
}

# modules: the first modules of this list: of terminals, sockets, event loops, processes, files,
# importing and running.
modules() {
	tr ' ' '\n' <<-'EOT' | grep . | head -n "$MODULES"
		test_pty test_openpty test_socketserver
		test_selectors test_socket test_os test_asyncio.test_base_events test_asyncio.test_buffered_proto
		test_asyncio.test_events test_asyncio.test_locks test_asyncio.test_proactor_events
		test_asyncio.test_queues test_asyncio.test_runners test_asyncio.test_selector_events
		test_asyncio.test_server test_asyncio.test_sock_lowlevel test_asyncio.test_sslproto
		test_asyncio.test_streams test_asyncio.test_subprocess test_asyncio.test_tasks
		test_asyncio.test_threads test_asyncio.test_unix_events test_asynchat test_asyncore
		test_select test_poll test_epoll test_ssl test_ftplib test_httplib test_httpservers test_imaplib
		test_poplib test_smtplib test_telnetlib test_nntplib test_urllib test_urllib2
		test_urllib2_localnet test_xmlrpc test_docxmlrpc test_wsgiref test_logging test_timeout
		test_signal test_subprocess test_popen test_threading test_multiprocessing_fork
		test_concurrent_futures test_posix test_resource test_mmap test_fcntl test_ioctl test_eintr
		test_sched test_tempfile test_shutil test_pathlib test_glob test_posixpath test_file test_fileio
		test_io test_mailbox test_site test_runpy test_zipapp test_zipimport test_zipfile
		test_cmd_line test_cmd_line_script test_import test_importlib test_pdb test_readline test_getpass
		test_curses test_locale test_time test_datetime test_uuid test_random test_secrets
		test_hashlib test_hmac test_sqlite3 test_ctypes test_platform test_pwd test_grp test_sys
		test_sysconfig test_traceback test_unittest test_json test_decimal test_struct
		test_zlib test_weakref test_shelve test_netrc
	EOT
}

# in_bwrap MODULE: runs the module's tests in the same root, where no system call is refused.
in_bwrap() {
	bwrap --unshare-all --die-with-parent --new-session --uid 1000 --gid 1000 \
		--ro-bind "$ROOT" / --proc /proc --dev /dev --tmpfs /dev/shm --tmpfs /tmp --tmpfs /run --tmpfs /work \
		--ro-bind "$WORK/job/cpython.py" /work/cpython.py --chdir /work --clearenv \
		--setenv PATH /usr/local/bin:/usr/bin:/bin --setenv HOME /work --setenv LANG C.UTF-8 \
		/usr/bin/python3 -u -B /work/cpython.py "$1" </dev/null
}

# passed FILE: the tests that have passed.
passed() {
	sed -n 's/ ok$//p' "$1" | sort
}

# by_name: reads tests from stdin; prints those that the policy's refusals do not account for.
by_name() {
	grep -vxE -f <(sed -n 's/^\([^#[:space:]]\+\).*/\1/p' "$E2E/cpython.refused") || true
}

@test "each test of CPython's that passes under bwrap passes as a task, in each start mode" {
	local module mode bad=0

	for module in $(modules); do
		in_bwrap "$module" >"$module.bwrap" 2>"$module.bwrap.err" || fail "$module: bwrap: $(tail "$module.bwrap.err")"
		for mode in $MODES; do
			sandboxctl run cpython --start "$mode" --label "$module-$mode" "$WORK/job/task.json" -- "$module" \
				>"$module.$mode" 2>"$module.$mode.err" || fail "$module, $mode: $(tail "$module.$mode.err")"
			[ "$(mode "$module-$mode")" = "$mode" ]
			diff "$module.cold" "$module.$mode" || bad=1
			comm -23 <(passed "$module.bwrap") <(passed "$module.$mode") | by_name >"$module.worse"
			[ ! -s "$module.worse" ] || {
				echo "$module, $mode: worse than under bwrap:"
				cat "$module.worse"
				grep -A 30 -Ff "$module.worse" "$module.$mode.err" | head -n 200
				bad=1
			}
		done
		[ "$(passed "$module.cold" | wc -l)" -gt 0 ]
	done
	[ "$bad" = 0 ]
}
