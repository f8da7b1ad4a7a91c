#!/usr/bin/env bats
# How an image is built and put in its place, with a build script that takes no time: what
# it makes is checked, and nothing but a whole image ever has a name.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the build
load lib

setup() {
	paths
	STATE=$BATS_TEST_TMPDIR/state
	export SANDBOXD_STATE=$STATE SANDBOXD_SOCKET=$BATS_TEST_TMPDIR/none.sock
	export SANDBOXD_LIBEXEC=$BATS_TEST_TMPDIR/libexec RUNTIME_DIR=$BATS_TEST_TMPDIR/runtime
	SRC=$BATS_TEST_TMPDIR/src
	mkdir -p "$SANDBOXD_LIBEXEC" "$RUNTIME_DIR" "$SRC"
	echo 'pass' >"$RUNTIME_DIR/boot.py"
	describe '"description": "first"'
	echo : >"$SRC/extra.sh"
	cat >"$SANDBOXD_LIBEXEC/image-build" <<-'EOT'
		#!/usr/bin/env bash
		set -euo pipefail
		root=$2/rootfs
		mkdir -p "$root"/{proc,sys,dev,tmp,run,work,usr/bin,usr/lib}
		cp -r "$RUNTIME_DIR" "$root/usr/lib/sandbox-runtime"
		printf '#!/bin/sh\n' >"$root/usr/bin/python3.11"
		chmod 755 "$root/usr/bin/python3.11"
		ln -s /usr/bin/python3.11 "$root/usr/bin/python3"
		echo '{"python": "3.11.2", "interpreter": "/usr/bin/python3", "modules":
			[{"name": "numpy", "version": "1.24.2"}]}' >"$2/modules.json"
		. "$1/extra.sh"
	EOT
	chmod 755 "$SANDBOXD_LIBEXEC/image-build"
}

# describe MEMBERS: the source's image.json, with these members too.
describe() {
	printf '{"name": "tiny", "packages": [], "interpreter": "/usr/bin/python3", %s}' "$1" \
		>"$SRC/image.json"
}

digest() {
	readlink "$STATE/images/by-name/tiny"
}

nothing_left() {
	[ -z "$(find "$STATE/images" -maxdepth 1 -name '.build*')" ]
}

building() {
	! nothing_left
}

# refused WORDS SCRIPT: a build whose tree SCRIPT spoils fails with these words and leaves
# the image that was there.
refused() {
	local before

	rm -rf "$STATE"
	echo : >"$SRC/extra.sh"
	sandboxctl image build "$SRC"
	before=$(digest)
	echo "$2" >"$SRC/extra.sh"
	run --separate-stderr sandboxctl image build --force "$SRC"
	echo "$status: $stderr"
	[ "$status" = 125 ]
	[[ $stderr == *"$1"* ]]
	[ "$(digest)" = "$before" ]
	[ -d "$STATE/images/by-name/$before/rootfs" ]
	nothing_left
}

@test "an image is built, listed and inspected" {
	run sandboxctl image build "$SRC"
	[ "$status" = 0 ]
	[[ $output == "tiny: built "* ]]
	[ "$(sandboxctl image ls --json | jq -r '.[0] | .name + " " + .python')" = "tiny 3.11.2" ]
	run sandboxctl image inspect tiny
	[[ $output == *numpy*1.24.2* ]]
	[ "../$(sandboxctl image inspect tiny --json | jq -r .digest)" = "$(digest)" ]
	[ "$(stat -c '%u %a' "$STATE/images/by-name/$(digest)/image.bin")" = "0 644" ]
	nothing_left
}

@test "the same input is up to date; the same content has the same digest" {
	sandboxctl image build "$SRC"
	first=$(digest)
	[[ $(sandboxctl image build "$SRC") == *"up to date"* ]]
	[[ $(sandboxctl image build --force "$SRC") == *built* ]]
	[ "$(digest)" = "$first" ]
	describe '"description": "second"'
	[[ $(sandboxctl image build "$SRC") == *built* ]]
	[ "$(digest)" = "$first" ]
	[ "$(sandboxctl image inspect tiny --json | jq -r .description)" = second ]
}

@test "another runtime, build script or warm list makes another image" {
	sandboxctl image build "$SRC"
	first=$(digest)
	describe '"warm": {"imports": ["json"]}'
	sandboxctl image build "$SRC"
	second=$(digest)
	[ "$second" != "$first" ]
	echo 'pass # changed' >"$RUNTIME_DIR/boot.py"
	sandboxctl image build "$SRC"
	[ "$(digest)" != "$second" ]
	# The script itself, and each library of its own.
	for script in "$TOP"/scripts/{image-*,pip-build}; do
		echo '# changed' >>"$SANDBOXD_LIBEXEC/${script##*/}"
		[[ $(sandboxctl image build "$SRC") == *built* ]]
		[[ $(sandboxctl image build "$SRC") == *"up to date"* ]]
	done
}

@test "a mode, a link's target, a name or a byte changes the digest" {
	declare -A seen
	for change in : 'chmod 755 "$root/usr/lib"/x' 'ln -sfn b "$root/link"' 'mv "$root"/usr/lib/{x,y}' \
		'echo 2 >"$root/usr/lib/x"' 'mkdir "$root/new"'; do
		printf 'echo 1 >"$root/usr/lib/x"; ln -s a "$root/link"\n%s\n' "$change" >"$SRC/extra.sh"
		sandboxctl image build --force "$SRC"
		[ -z "${seen[$(digest)]:-}" ]
		seen[$(digest)]=1
	done
}

@test "hostile trees are refused by name" {
	refused "rootfs/usr/bin/su: is a setuid or setgid file" \
		'echo >"$root/usr/bin/su"; chmod 4755 "$root/usr/bin/su"'
	refused "rootfs/usr/bin/su: is a setuid or setgid file" \
		'echo >"$root/usr/bin/su"; chmod 2755 "$root/usr/bin/su"'
	refused "rootfs/dev/null: is a device, FIFO or socket" 'mknod "$root/dev/null" c 1 3'
	refused "rootfs/usr/pipe: is a device, FIFO or socket" 'mkfifo "$root/usr/pipe"'
	for name in proc sys dev tmp run work; do
		refused "rootfs/$name is not a folder of its own" \
			"rmdir \"\$root/$name\"; ln -s / \"\$root/$name\""
	done
}

@test "an interpreter that is not in the image is refused" {
	refused "interpreter: /usr/bin/python3 in the image" 'rm "$root/usr/bin/python3.11"'
	# A link out of the image leads to the image's own, where there is none.
	refused "interpreter: /usr/bin/python3 in the image" 'ln -sfn /../../bin/sh "$root/usr/bin/python3"'
	refused "not a program that all may run" 'chmod 700 "$root/usr/bin/python3.11"'
}

@test "a build script that fails or says nonsense is refused" {
	refused "failed with status 3" 'exit 3'
	refused "modules.json: modules: is missing" "echo '{\"python\": \"3\"}' >\"\$2/modules.json\""
	refused "died of signal 9" 'kill -9 $$'
}

@test "TERM ends a build, its children too, and leaves nothing" {
	echo 'sleep 1000 & echo $! >"$1/pid"; wait' >"$SRC/extra.sh"
	"$CTL" image build "$SRC" 3>&- &
	pid=$!
	wait_until "$PATIENCE" test -s "$SRC/pid"
	kill "$pid"
	wait "$pid" || status=$?
	[ "$status" = 143 ]
	nothing_left
	[ ! -e "$STATE/images/by-name/tiny" ]
	wait_until "$PATIENCE" gone "$(cat "$SRC/pid")"
}

# gone PID: no such process, or one that only waits to be reaped.
gone() {
	[ ! -e "/proc/$1" ] || [ "$(cut -d ' ' -f 3 "/proc/$1/stat")" = Z ]
}

@test "what a killed build left is removed by the next one, not by one beside it" {
	echo '[ ! -e "$1/hold" ] || { echo $$ >"$1/pid"; exec sleep 1000; }' >"$SRC/extra.sh"
	: >"$SRC/hold"
	"$CTL" image build "$SRC" 3>&- &
	pid=$!
	wait_until "$PATIENCE" test -s "$SRC/pid"
	left=$(find "$STATE/images" -maxdepth 1 -name '.build*')
	# Another image's build goes on beside it.
	mkdir "$BATS_TEST_TMPDIR/other"
	echo : >"$BATS_TEST_TMPDIR/other/extra.sh"
	sed s/tiny/other/ "$SRC/image.json" >"$BATS_TEST_TMPDIR/other/image.json"
	sandboxctl image build "$BATS_TEST_TMPDIR/other"
	[ -d "$left" ]
	kill -9 "$pid"
	wait "$pid" || true
	wait_until "$PATIENCE" gone "$(cat "$SRC/pid")"
	rm "$SRC/hold"
	sandboxctl image build "$SRC"
	nothing_left
	[ -e "$STATE/images/by-name/tiny" ]
}

@test "two builds of one image: the second waits and finds it up to date" {
	echo ': >"$1/began"; while [ ! -e "$1/go" ]; do sleep 0.05; done' >"$SRC/extra.sh"
	"$CTL" image build "$SRC" >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	first=$!
	wait_until "$PATIENCE" test -e "$SRC/began"
	"$CTL" image build "$SRC" >"$BATS_TEST_TMPDIR/second" 2>&1 3>&- &
	second=$!
	wait_until "$PATIENCE" grep -q waiting "$BATS_TEST_TMPDIR/second"
	: >"$SRC/go"
	wait "$first"
	wait "$second"
	grep -q "built" "$BATS_TEST_TMPDIR/first"
	grep -q "up to date" "$BATS_TEST_TMPDIR/second"
	nothing_left
}

@test "only root builds and removes; anybody lists" {
	sandboxctl image build "$SRC"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.." "$BATS_RUN_TMPDIR" "$BATS_SUITE_TMPDIR"
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups "$CTL" "$@"
	}
	[ "$(as_nobody image ls --json | jq -r '.[0].name')" = tiny ]
	for words in "build $SRC" "rm tiny"; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr as_nobody image $words
		[ "$status" = 125 ]
		[[ $stderr == *"needs root"* ]]
	done
	sandboxctl image rm tiny
	[ "$(sandboxctl image ls --json)" = "[]" ]
	[ -z "$(find "$STATE/images" -maxdepth 1 -name '[0-9a-f]*' -type d ! -name by-name)" ]
}
