#!/usr/bin/env bats
# bats file_tags=v2-all
# Checks of the cgroup v2 machine itself: that it is what the other tests take it for.

setup() {
	[ -n "${SANDBOXD_V2:-}" ] || skip "only inside the cgroup v2 machine"
}

# bats test_tags=v2
@test "the kernel is Debian 12's 6.1" {
	[[ $(uname -r) == 6.1.* ]]
}

# bats test_tags=v2
@test "cgroup v2 is the only hierarchy and has cpu, memory and pids" {
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]
	[ "$(findmnt -n -t cgroup | wc -l)" = 0 ]
	for controller in cpu memory pids; do
		grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers
	done
}

# bats test_tags=v2
@test "a memory limit of a cgroup kills, and cgroup.kill does" {
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir /sys/fs/cgroup/sanity
	echo 16M >/sys/fs/cgroup/sanity/memory.max
	# shellcheck disable=SC2016 # for the inner shell
	run sh -c 'echo $$ >/sys/fs/cgroup/sanity/cgroup.procs; exec python3 -c "bytearray(64 << 20)"'
	[ "$status" = 137 ]
	grep -q '^oom_kill 1' /sys/fs/cgroup/sanity/memory.events

	# shellcheck disable=SC2016
	sh -c 'echo $$ >/sys/fs/cgroup/sanity/cgroup.procs; exec sleep 100' 3>&- &
	pid=$!
	until grep -qx "$pid" /sys/fs/cgroup/sanity/cgroup.procs; do sleep 0.05; done
	echo 1 >/sys/fs/cgroup/sanity/cgroup.kill
	run wait "$pid"
	[ "$status" = 137 ]
	rmdir /sys/fs/cgroup/sanity
}

# bats test_tags=v2
@test "network namespaces, veth and nftables work" {
	ip netns add sanity
	ip link add veth-a type veth peer name veth-b netns sanity
	ip netns exec sanity nft -f - <<-'EOF'
		table ip t {
			chain c {
				type nat hook postrouting priority srcnat
				masquerade
			}
		}
	EOF
	ip netns exec sanity nft list ruleset | grep -q masquerade
	ip netns del sanity
}

# bats test_tags=v2
@test "every library of the binaries under test is there" {
	found=0
	while read -r binary; do
		run ldd "$binary"
		[[ $output != *"not found"* ]]
		found=$((found + 1))
	done < <(find /usr/local/bin /usr/local/sbin /usr/local/libexec /usr/local/lib/sandboxd/criu/sbin \
		-type f -perm /111 2>/dev/null)
	echo "$found binaries"
	[ "$found" -gt 0 ]
}

@test "criu passes its own check" {
	/usr/local/lib/sandboxd/criu/sbin/criu check
}

@test "criu dumps and restores a process" {
	dir=$(mktemp -d)
	criu=/usr/local/lib/sandboxd/criu/sbin/criu
	setsid python3 -c '
import sys, time
x = 41
while not __import__("os").path.exists(sys.argv[1] + "/go"):
    time.sleep(0.05)
open(sys.argv[1] + "/said", "w").write(str(x + 1))
' "$dir" </dev/null >/dev/null 2>&1 3>&- &
	pid=$!
	sleep 2
	mkdir "$dir/checkpoint"
	"$criu" dump -t "$pid" -D "$dir/checkpoint" -o dump.log -v4 || {
		tail -n 20 "$dir/checkpoint/dump.log"
		false
	}
	run kill -0 "$pid"
	[ "$status" != 0 ]
	"$criu" restore -d -D "$dir/checkpoint" -o restore.log -v4 || {
		tail -n 20 "$dir/checkpoint/restore.log"
		false
	}
	touch "$dir/go"
	for _ in $(seq 100); do
		[ -s "$dir/said" ] && break
		sleep 0.1
	done
	[ "$(cat "$dir/said")" = 42 ]
	rm -r "$dir"
}

@test "a python out of a seeded image says hello" {
	[ -d "$SANDBOXD_STATE_SEED/images" ]
	roots=$(find "$SANDBOXD_STATE_SEED/images" -maxdepth 3 -type d -name rootfs)
	[ -n "$roots" ] || skip "no image was given (SANDBOXD_STATE_SEED)"
	for root in $roots; do
		python=$(jq -r .interpreter "${root%/rootfs}/image.json")
		run chroot "$root" "$python" -c 'print("hello")'
		[ "$output" = hello ]
	done
}
