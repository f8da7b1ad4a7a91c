#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A package that is built, for a worker or for an image, learns nothing of the index that it comes from,
# of passwords and proxies, and reaches nothing by it but packages.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for steps

load lib
load ../e2e/http
load ../e2e/tenant
load ../e2e/far

eval "tenant_$(declare -f setup_file)"
setup_file() {
	tenant_setup_file
	image_with_pip python
	cp -a "$(rootfs python)" "$WORK/rootfs"
	export SANDBOXD_STATE=$STATE SANDBOXCTL_FULL=$SANDBOXD_LIBEXEC/sandboxctl-full
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cp "$WORK/iron.json" .
	mkdir -p evil-1.0 index/simple/evil "$HOME/.config/pip"
	cp "$SECURITY"/builds/index_*.py evil-1.0/
	printf '%s\n' '[build-system]' 'requires = []' 'build-backend = "index_backend"' 'backend-path = ["."]' \
		>evil-1.0/pyproject.toml
	printf 'Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n' >evil-1.0/PKG-INFO
	known '["/"]' null null >evil-1.0/known.json
	tar -czf index/simple/evil/evil-1.0.tar.gz evil-1.0
	python3 "$E2E/wheels.py" index/simple/after after 1.0
	echo zq7canary >index/canary.txt
	far_make
	serve index index 203.0.113.1 8000 me:zq7canary-1
	serve proxy 203.0.113.1 8080 zq7canary:zq7canary-2
	# Without a password, for the control.
	serve index index 203.0.113.1 8001
	serve proxy 203.0.113.1 8081
	printf '%s\n' '[global]' 'index-url = http://me:zq7canary-1@203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1' \
		>"$HOME/.config/pip/pip.conf"
	echo 'machine 203.0.113.9 login me password zq7canary-3' >"$HOME/.netrc"
	export http_proxy=http://zq7canary:zq7canary-2@203.0.113.1:8080 PIP_RETRIES=0
}

# serve WORD...: package_index.py on the other machine.
serve() {
	ip netns exec "$GROUP" python3 "$E2E/package_index.py" "$@" >"said.${!#}.$#" 2>&1 3>&- 4>&- &
	wait_until "$PATIENCE" file_has "said.${!#}.$#" Serving
}

# known FOLDERS INDEX PROXY: what index_attack.py is told.
known() {
	jq -n --argjson folders "$1" --argjson index "$2" --argjson proxy "$3" '{canary: "yranac7qz", folders: $folders,
		index: $index, proxy: $proxy, hosts: [["203.0.113.1", 8001], ["203.0.113.1", 8081], ["169.254.169.254", 80]]}'
}

teardown() {
	end_background
	far_remove
}

# nothing_worked TEXT: every try was made, and failed.
nothing_worked() {
	[ "$(grep -c ' no$' <<<"$1")" = 8 ] || fail "$1"
	refute grep ' yes$' <<<"$1"
}

@test "control: without a sandbox, with the index and the proxy themselves, every try works" {
	known "[\"$HOME\"]" '"203.0.113.1:8001"' '"203.0.113.1:8081"' >known.json
	run python3 -c 'import os, socket, sys
theirs, ours = socket.socketpair()
os.dup2(theirs.fileno(), 0)
os.execv(sys.executable, [sys.executable] + sys.argv[1:])' "$SECURITY/builds/index_attack.py" known.json
	[ "$(grep -c ' yes$' <<<"$output")" = 8 ] || fail "$output"
}

@test "a worker's package finds nothing, and what is asked for after it is still answered" {
	worker victim 'import after, evil; print(evil.RESULTS, after.VERSION)' 'pip "evil"' \
		'remote_build_command "ls -l /proc/self/fd >&2"'
	run --separate-stderr sandboxctl upload victim --image python
	[ "$status" = 0 ] || fail "$stderr"
	refute grep -E 'zq7canary|Traceback' <<<"$stderr"
	[[ $stderr == *'installed after==1.0'* ]] || fail "$stderr"
	# What a build command has open is its output, and an empty stdin: not the way to the index.
	[[ $stderr == *'0 -> /dev/null'* && $stderr != *socket:* ]] || fail "$stderr"
	nothing_worked "$(sandboxctl queue victim --wait 2>/dev/null)"
	# It came by the proxy, with both passwords, and the other way was never taken.
	refute grep -E 'refused|canary.txt' said.*
	grep -q 'GET http://203.0.113.1:8000/simple/evil/ zq7canary ok' said.*
}

@test "an image's package finds nothing either" {
	mkdir out
	mv "$WORK/rootfs" out/rootfs
	run "$E2E/image-steps" "$PWD/out" install_requirements close_local \
		"in_image -- /usr/bin/python3 -c 'import after, evil; print(evil.RESULTS)'"
	mv out/rootfs "$WORK/rootfs"
	[ "$status" = 0 ] || fail "$output"
	refute grep zq7canary <<<"$output"
	refute grep -a zq7canary out/log
	nothing_worked "$(grep -E ' (yes|no)$' <<<"$output")"
	refute grep -E 'refused|canary.txt' said.*
}
