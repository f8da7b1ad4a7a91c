#!/usr/bin/env bats
# Pushes: from a folder with a dotcloud.yml to services that run.
# shellcheck disable=SC2154,SC2016 # run sets status, output and stderr; texts are evaluated later
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	image_link web27
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS HOME=$WORK/home PIP_CONFIG_FILE=$WORK/pip.conf
	unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
	mkdir -p "$HOME" "$WORK/index/simple"
	python3 "$E2E/wheels.py" "$WORK/index/simple/ccc" ccc 3.0 'ddd>=1'
	python3 "$E2E/wheels.py" "$WORK/index/simple/ddd" ddd 1.5
	python3 "$E2E/wheels.py" "$WORK/index/simple/pillow" Pillow 6.2
	python3 "$E2E/package_index.py" index "$WORK/index" 127.0.0.1 0 >"$WORK/index.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/index.pid"
	wait_until "$PATIENCE" file_has "$WORK/index.log" Serving
	printf '%s\n' '[global]' 'retries = 0' \
		"index-url = http://127.0.0.1:$(sed -n 's/^Serving //p' "$WORK/index.log")/simple" >"$PIP_CONFIG_FILE"
}

setup() {
	cp -r "$E2E/push" "$BATS_TEST_TMPDIR/src"
	cd "$BATS_TEST_TMPDIR/src" || return
}

teardown() {
	local each

	end_background
	for each in $(sandboxctl service ls --json | jq -r '.[] | .app + "/" + .name'); do
		sandboxctl service rm "$each" || true
	done
	wait_until "$PATIENCE" nothing_runs
}

teardown_file() {
	kill "$(cat "$WORK/index.pid")" || true
	daemon_remove
}

nothing_runs() {
	[ -z "$(sandboxctl ps --quiet)" ]
}

# push ARG...: with what it says in $BATS_TEST_TMPDIR/said.
push() {
	local run

	sandboxctl push "$@" 2>"$BATS_TEST_TMPDIR/said" && return
	run=$(sed -n 's/.*sandboxctl logs \([0-9a-f]*\).*/\1/p' "$BATS_TEST_TMPDIR/said" | tail -1)
	fail "$(cat "$BATS_TEST_TMPDIR/said"; [ -z "$run" ] || sandboxctl logs "$run" 2>&1)"
}

said() {
	grep -qF -- "$1" "$BATS_TEST_TMPDIR/said" || fail "$(cat "$BATS_TEST_TMPDIR/said")"
}

# refused TEXT ARG...: a push fails, and says so.
refused() {
	local text=$1

	shift
	run --separate-stderr sandboxctl push "$@"
	[ "$status" = 125 ] || fail "$stderr"
	[[ $stderr == *"$text"* ]] || fail "$stderr"
}

# get [PATH] [SERVICE-APP]
get() {
	curl -sS --max-time 60 -H "Host: ${2:-www-three}.default.localhost" "http://$ADDRESS/${1:-}"
}

@test "an app of Python 3 is pushed, pushed again, and rolled back" {
	push three
	said 'www: Python 3.11 (image web)'
	said '  | from prebuild'
	[ "$(get)" = 'one 0 3' ]
	[ "$(jq -r .app three/.dotcloud/config)" = three ]
	# What the build finds, and what its requirements bring.
	[ "$(get built)" = 'three www hello' ]
	[ "$(get ccc)" = '3.0 1.5' ]
	sed -i 's/one/two/' three/approot/server.py
	(cd three/approot && push)
	said 'www: requirements.txt'
	[ "$(get)" = 'two 0 3' ]
	sandboxctl service rollback three/www
	[ "$(get)" = 'one 0 3' ]
}
