#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What comes out of an image while it is built runs in a sandbox as strict as a task's: pip, what pip
# builds, and every start of the image's Python.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for steps

load lib.bash

setup_file() {
	paths
	WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/sandboxd-builds.XXXXXX")
	export NETWORK=builds-$$
	export WORK OUT=$WORK/out SECRET=$WORK/secret/file
	export SANDBOXD_STATE=$WORK/state SANDBOXCTL_FULL
	SANDBOXCTL_FULL=$(dirname "$CTL")/sandboxctl-full
	[ -x "$SANDBOXCTL_FULL" ] || SANDBOXCTL_FULL=$(dirname "$CTL")/../libexec/sandboxd/sandboxctl-full
	mkdir -p "$OUT" "$WORK/secret" "$WORK/evil-1.0"
	# A copy, because builds write to it.
	cp -a "$(realpath "$IMAGES/by-name/python")/rootfs" "$OUT/rootfs"
	chmod 700 "$WORK/secret"
	(umask 077 && echo canary >"$SECRET")
	# A service on the host's loopback only.
	python3 -u -m http.server --bind 127.0.0.1 --directory "$WORK/evil-1.0" 0 >"$WORK/served" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/server"
	wait_until "$PATIENCE" file_has "$WORK/served" Serving
	PORT=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$WORK/served")
	export PORT
	cp "$SECURITY"/builds/*.py "$WORK/evil-1.0/"
	echo "$SECRET $PORT" >"$WORK/evil-1.0/where"
	printf 'Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n' >"$WORK/evil-1.0/PKG-INFO"
	printf '%s\n' '[build-system]' 'requires = []' 'build-backend = "backend"' 'backend-path = ["."]' \
		>"$WORK/evil-1.0/pyproject.toml"
	mkdir "$WORK/wheels"
	tar -C "$WORK" -czf "$WORK/wheels/evil-1.0.tar.gz" evil-1.0
	# The packages come from a folder, but the build has a network, because that gives an attack more
	# to try.
	unset "${!PIP_@}"
	export PIP_FIND_LINKS=$WORK/wheels PIP_INDEX_URL=file:///nowhere
	listing "$OUT/rootfs" | grep -Ev '^usr(/local| )' >"$WORK/before"
	"$E2E/image-steps" "$OUT" install_requirements close_local
	listing "$OUT/rootfs" | grep -Ev '^usr(/local| )' >"$WORK/after"
}

teardown_file() {
	kill "$(cat "$WORK/server")"
	rm -rf "$WORK"
}

# nothing_worked FILE: each attempt was made, and failed.
nothing_worked() {
	[ "$(grep -c ' no$' "$1")" = "$(wc -l <"$WORK/control")" ] || fail "$(cat "$1")"
	refute grep ' yes$' "$1"
}

# open_network: builds have a way out from now on, as tasks of the policy network have.
open_network() {
	jq --slurpfile network "$TOP/policies/network.json" '.network = $network[0].network' \
		"$TOP/policies/build.json" >"$WORK/build.json"
	sandboxctl policy install "$WORK/build.json" >/dev/null
}

# in_image OPTION... -- COMMAND...: runs a command of the image as image-build does.
in_image() {
	"$E2E/image-steps" "$OUT" "in_image $*"
}

setup() {
	# The control: as root and unconfined, each attempt works, except those that need what is not
	# here.
	python3 "$SECURITY/builds/attack.py" "$SECRET" "$PORT" >"$WORK/control"
}

@test "control: outside of the sandbox every try works" {
	refute grep ' no$' "$WORK/control"
	[ "$(wc -l <"$WORK/control")" = 7 ]
}

@test "a package that pip builds gets nowhere, and writes below /usr/local alone" {
	nothing_worked "$OUT/rootfs/usr/local/attacked-by-pip"
	diff "$WORK/before" "$WORK/after"
}

@test "a package's .pth gets nowhere at a later start; none runs while bytecode is written" {
	# A program that followed the link which the package has left would change this machine's files.
	before=$(stat -c '%U %a %Z' /etc /etc/passwd)
	"$E2E/image-steps" "$OUT" compile_python check_image list_modules seal
	[ "$(stat -c '%U %a %Z' /etc /etc/passwd)" = "$before" ]
	refute grep -q 'privileges' "$OUT/log"
	jq -e '.modules[] | select(.name == "evil")' "$OUT/modules.json"
	run --separate-stderr in_image -- /usr/bin/python3 -c pass
	[ "$status" = 0 ]
	echo "$stderr" >"$WORK/said"
	nothing_worked "$WORK/said"
	[ -z "$(find "$OUT/rootfs" ! -user root)" ]
	# What the package had opened to everybody is closed; the group's rights bound an access list's.
	[ "$(stat -c '%a %n' "$OUT/rootfs/usr/local/lib/open"{,/to-all,/to-one} | sed 's, .*/, ,')" = $'1755 open\n644 to-all\n644 to-one' ]
	[ -z "$(find "$OUT/rootfs" ! -type l -perm /022 ! -path '*rootfs/tmp' ! -path '*rootfs/var/tmp')" ]
}

@test "the walls are a task's: its probes find nothing more" {
	cp -r "$SECURITY/probes" "$WORK/probes"
	hostname >"$WORK/probes/hostname"
	open_network
	# Without what the test's package starts, and without the variables that only the builder's
	# environment has.
	for probe in syscalls sockets identity files processes init; do
		in_image --network --files "$WORK/probes" -- /usr/bin/env -u SOURCE_DATE_EPOCH \
			/usr/bin/python3 -S "/work/$probe.py" policy=network >"$WORK/probe-$probe"
		"$SECURITY/judge.py" sandbox "$WORK/probe-$probe"
	done
}

# held: a build's sandbox with a network, which lasts until the other side ends its connection.
held() {
	nsenter --net="/run/netns/$NETWORK" "$E2E/image-steps" "$OUT" "in_image --network -- /usr/bin/python3 \
		-S -c 'import socket; socket.create_connection((\"203.0.113.1\", 8000)).recv(1)'" 3>&- 4>&-
}

forwards() {
	[ "$(nsenter --net="/run/netns/$NETWORK" cat /proc/sys/net/ipv4/conf/uplink/forwarding)" = "$1" ]
}

# left N PID...: so many of these processes have not ended.
left() {
	local n=0 pid

	for pid in "${@:2}"; do
		gone "$pid" || n=$((n + 1))
	done
	[ "$n" = "$1" ]
}

@test "the host forwards for builds as long as the last of them" {
	open_network
	# The host, and another machine that accepts connections and ends one for each line that it is
	# told.
	ip netns add "$NETWORK"
	ip netns add "$NETWORK-far"
	ip link add uplink netns "$NETWORK" type veth peer name far netns "$NETWORK-far"
	ip -n "$NETWORK" addr add 203.0.113.2/30 dev uplink
	ip -n "$NETWORK" link set uplink up
	ip -n "$NETWORK-far" addr add 203.0.113.1/30 dev far
	ip -n "$NETWORK-far" link set far up
	nsenter --net="/run/netns/$NETWORK" sysctl -q net.ipv4.ip_forward=0
	mkfifo "$WORK/tell"
	nsenter --net="/run/netns/$NETWORK-far" python3 -u -c '
import socket, sys
server = socket.create_server(("203.0.113.1", 8000))
taken = []
for i in range(4):
    taken.append(server.accept()[0])
    print(len(taken))
for line in sys.stdin:
    taken.pop().close()' <"$WORK/tell" >"$WORK/taken" 3>&- 4>&- &
	exec 9>"$WORK/tell"
	for i in 1 2 3 4; do
		held 9>&- &
		builds[i]=$!
	done
	wait_until "$PATIENCE" file_lines "$WORK/taken" 4
	for i in 3 2 1; do
		forwards 1
		echo >&9
		wait_until "$PATIENCE" left "$i" "${builds[@]}"
	done
	forwards 1
	exec 9>&-
	wait "${builds[@]}"
	forwards 0
	[ -z "$(nsenter --net="/run/netns/$NETWORK" nft list tables)" ]
}

# endless: runs a command that does not end by itself; its output goes to $WORK/said.
endless() {
	rm -f "$WORK/said"
	nsenter --net="/run/netns/$NETWORK" "$SANDBOXCTL_FULL" image confine --network "$OUT/rootfs" \
		/usr/bin/python3 -Su -c 'import signal; print("up"); signal.pause()' >"$WORK/said" 2>&1 3>&- 4>&- &
	maker=$!
	wait_until "$PATIENCE" file_has "$WORK/said" up
	init=$(pgrep -P "$maker")
	cgroup=$(sed -n 's,.*/sandboxd-build/,,p' "/proc/$init/cgroup" | head -n 1)
	[ -n "$cgroup" ]
}

# build_groups ID: the folders of a build's cgroup.
build_groups() {
	find /sys/fs/cgroup -path "*/sandboxd-build/$1"
}

@test "a build's sandbox ends with its maker; a killed one's traces are gone with the next" {
	open_network
	ip netns add "$NETWORK"
	endless
	kill -KILL "$maker"
	wait_until "$PATIENCE" gone "$init"
	killed=$cgroup
	[ -n "$(build_groups "$killed")" ]
	# Takes the interface's name, as an interface does that the kernel has not removed yet.
	wait_until "$PATIENCE" ip -n "$NETWORK" link add sbx1-2048 type veth peer name taken
	endless
	[ -z "$(build_groups "$killed")" ]
	ip -n "$NETWORK" link del sbx1-2048
	kill -TERM "$maker"
	status=0
	wait "$maker" || status=$?
	[ "$status" = 143 ] || fail "$status: $(cat "$WORK/said")"
	gone "$init"
	[ -z "$(build_groups "$cgroup")" ]
	[ -z "$(nsenter --net="/run/netns/$NETWORK" nft list tables)" ]
}

teardown() {
	end_background
	ip netns del "$NETWORK" 2>/dev/null || true
	ip netns del "$NETWORK-far" 2>/dev/null || true
}

@test "with no policy for builds installed the shipped one holds; without either, what to do is said" {
	confine=("$SANDBOXCTL_FULL" image confine "$OUT/rootfs" /usr/bin/true)
	SANDBOXD_STATE=$WORK/fresh "${confine[@]}"
	run --separate-stderr env SANDBOXD_STATE="$WORK/fresh" SANDBOXD_SHARE="$WORK" "${confine[@]}"
	[ "$status" = 125 ]
	[[ $stderr == *"no policy build, neither installed nor in $WORK/policies"*'policy install FILE'* ]] || fail "$stderr"
	# A policy that was installed and is lost is not replaced by another one.
	SANDBOXD_STATE=$WORK/lost sandboxctl policy install "$TOP/policies/build.json" >/dev/null
	rm "$WORK/lost/policies/"*.bin
	run --separate-stderr env SANDBOXD_STATE="$WORK/lost" "${confine[@]}"
	[ "$status" = 125 ]
	[[ $stderr == *'policy build: '*'install it again'* ]] || fail "$stderr"
}

# takes_room KIND STEP...: a build that takes all the room that it can get, and then does these steps.
takes_room() {
	run --separate-stderr "$E2E/image-steps" "$OUT" "trap drop_local EXIT" open_local \
		"in_image --writable usr/local --files '$SECURITY/builds' -- /usr/bin/python3 -S /work/room.py $1" "${@:2}"
	[ "$status" != 0 ] || fail "$1 worked"
}

@test "what is written below /usr/local is bounded while it is written: bytes, files, names, sizes, depth" {
	jq '.limits.disk = "16M"' "$TOP/policies/build.json" >"$WORK/build.json"
	sandboxctl policy install "$WORK/build.json" >/dev/null
	for kind in data files; do
		takes_room "$kind"
		[[ $stderr == *'No space left'*'has filled /usr/local, 1'*'lets it have 16 MiB (limits.disk)'* ]] ||
			fail "$kind: $stderr"
	done
	# Files without a name end with the command.
	takes_room unnamed
	[[ $stderr == *'No space left'* ]] || fail "$stderr"
	for kind in links:'more than 2048 files' holes:'more than 15 MiB' deep:'nested deeper than 60'; do
		takes_room "${kind%%:*}" check_local
		[[ $stderr == *"${kind#*:}"* ]] || fail "$kind: $stderr"
	done
	[ ! -e "$OUT/rootfs/usr/local/room" ]
	[ -z "$(losetup --associated "$OUT/work/local")" ]
}

@test "what a build says is read in bounds, however long a line is" {
	run --separate-stderr "$E2E/image-steps" "$OUT" "head -c 1M /dev/zero | tr '\\0' x | printable | wc -c"
	[ "$output" = 4097 ] || fail "$output $stderr"
}

@test "a command of a build writes in the folders that it is given, and nowhere else in the image" {
	install -d -m 1777 "$OUT/rootfs/var/tmp"
	run --separate-stderr "$E2E/image-steps" "$OUT" "trap drop_local EXIT" open_local \
		"in_image --writable usr/local -- /usr/bin/touch /usr/local/here" 'ls "$rootfs/usr/local/here"' \
		"in_image --writable usr/local -- /usr/bin/touch /var/tmp/there"
	[[ $output == */usr/local/here ]] || fail "$stderr"
	[[ $stderr == *"/var/tmp/there': Read-only file system"* ]] || fail "$stderr"
}

@test "limits and the filter are those of the operator's policy for builds" {
	jq '.limits.memory = "64M" | .limits.pids = 8 | .network = {"mode": "none"}' "$TOP/policies/build.json" \
		>"$WORK/build.json"
	sandboxctl policy install "$WORK/build.json" >/dev/null
	run --separate-stderr in_image -- /usr/bin/python3 -S -c "'x=bytearray(128<<20)'"
	[[ $stderr == *'needs more memory than policy build lets it (limits.memory: 64 MiB)'* ]] || fail "$stderr"
	# A command that closes its output still runs.
	jq '.limits.timeout = 1' "$WORK/build.json" >"$WORK/short.json"
	sandboxctl policy install "$WORK/short.json" --name build >/dev/null
	run --separate-stderr in_image -- /usr/bin/python3 -S -c \
		"'import os, signal; os.close(1); os.close(2); signal.pause()'"
	[[ $stderr == *'takes longer than policy build lets it (limits.timeout: 1 s)'* ]] || fail "$stderr"
	# Without one in the policy, there is no network, whoever asks for it.
	[ "$(in_image --network -- /usr/bin/cat /proc/net/route | wc -l)" = 1 ]
	open_network
	[ "$(in_image --network -- /usr/bin/cat /proc/net/route | wc -l)" = 2 ]
}
