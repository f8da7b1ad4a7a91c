#!/usr/bin/env bats
# bats file_tags=v2-all
# What a task sees of the world, in each start mode. tests/security tries to get out.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

# alike CODE: prints the output of the code, which must be the same in each start mode.
alike() {
	local mode out

	unset output
	for mode in $MODES; do
		out=$(sandboxctl run python --start "$mode" --code "$1") || return 1
		[ "${output=$out}" = "$out" ] || fail "cold: $output"$'\n'"$mode: $out" || return 1
	done
}

# bats test_tags=v2
@test "all seven namespaces are its own" {
	for mode in $MODES; do
		inside=$(sandboxctl run python --start "$mode" --code '
import os
for name in "user mnt pid net ipc uts cgroup".split():
    print(name, os.readlink("/proc/self/ns/" + name))')
		[ "$(wc -l <<<"$inside")" = 7 ]
		while read -r name id; do
			[ "$id" != "$(readlink "/proc/self/ns/$name")" ]
			[ "$id" != "$(readlink "/proc/$(role monitor)/ns/$name")" ]
		done <<<"$inside"
	done
}

@test "it is nobody: no root id, no group, no capability, no new privileges, a filter" {
	alike '
import os
print(os.getresuid(), os.getresgid(), os.getgroups())
for line in open("/proc/self/status"):
    if line.split(":")[0] in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"):
        print(line.strip().replace("\t", " "))'
	[ "$output" = "(1000, 1000, 1000) (1000, 1000, 1000) []
CapInh: 0000000000000000
CapPrm: 0000000000000000
CapEff: 0000000000000000
CapBnd: 0000000000000000
CapAmb: 0000000000000000
NoNewPrivs: 1
Seccomp: 2" ]
}

@test "only its own processes are there" {
	alike '
import os
print(os.getpid(), sorted(int(p) for p in os.listdir("/proc") if p.isdigit()))'
	[ "$output" = "2 [1, 2]" ]
}

@test "the root is the read-only image; /tmp, /work and /run are its own" {
	alike '
import os
for path in "/new", "/usr/new", "/etc/new", "/work/new", "/tmp/new":
    try:
        open(path, "w").close()
        print(path, "written")
    except OSError as e:
        print(path, e.strerror)
print(sorted(os.listdir("/tmp")), os.getcwd())'
	[ "$output" = "/new Read-only file system
/usr/new Read-only file system
/etc/new Read-only file system
/work/new written
/tmp/new written
['new'] /work" ]
}

@test "/dev is short" {
	alike '
import os
names = []
for folder, folders, files in os.walk("/dev"):
    names += [os.path.join(folder, f) for f in files + folders]
print(sorted(names))
open("/dev/null", "w").write("x")
assert len(open("/dev/urandom", "rb").read(16)) == 16
assert open("/dev/zero", "rb").read(2) == b"\0\0"'
	for name in null zero full random urandom; do
		[[ $output == *"'/dev/$name'"* ]]
	done
	for name in mem kmsg kvm fuse sda vda tty0 console; do
		[[ $output != *"'/dev/$name'"* ]]
	done
}

@test "terminals of its own: a pair, a program on one, and none of anybody else's" {
	alike '
import fcntl, os, pty, struct, sys, termios, tty
ours, theirs = os.openpty()
tty.setraw(theirs)
os.write(ours, b"in")
os.write(theirs, b"out")
print(os.read(theirs, 9), os.read(ours, 9), os.ttyname(theirs), os.isatty(theirs))
print(sorted(os.listdir("/dev/pts")), os.stat("/dev/pts/0").st_uid, os.readlink("/dev/ptmx"))
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
print(os.get_terminal_size(ours))
try:
    fcntl.ioctl(theirs, termios.TIOCSTI, b"x")
except OSError as e:
    print("TIOCSTI:", e.strerror)
seen = []
def read(fd):
    seen.append(os.read(fd, 1024))
    return seen[-1].replace(b"\r", b"")
print(pty.spawn(["/bin/sh", "-c", "echo yes >/dev/tty; exit 3"], read) >> 8, b"".join(seen))'
	[ "$output" = "b'in' b'out' /dev/pts/0 True
['0', 'ptmx'] 1000 pts/ptmx
os.terminal_size(columns=80, lines=24)
TIOCSTI: Operation not permitted
yes
3 b'yes\r\n'" ]
}

@test "only so many terminals as leave some to others" {
	alike '
import os
pairs = []
try:
    while len(pairs) < 200:
        pairs.append(os.openpty())
except OSError as e:
    print(len(pairs), e.strerror)'
	[ "$output" = "64 No space left on device" ]
}

@test "only its three standard files are open" {
	alike '
import os
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd")))'
	# The fourth descriptor is the one by which /proc/self/fd is listed.
	[ "$output" = "[0, 1, 2, 3]" ]
}

@test "a host name of its own, which it cannot change" {
	for mode in $MODES; do
		run sandboxctl run python --start "$mode" --code '
import socket
print(socket.gethostname())
try:
    socket.sethostname("mine")
except OSError as e:
    print(e.strerror)'
		[ "${lines[0]}" != "$(hostname)" ]
		[ "${lines[1]}" = "Operation not permitted" ]
	done
}

@test "its host name is an address of its own, in a file that it cannot change" {
	alike '
import os, socket
name = socket.gethostname()
print(socket.gethostbyname(name), socket.gethostbyname("localhost"))
print(*[line for line in open("/etc/hosts").read().replace(name, "NAME").splitlines()], sep="|")
for path in "/etc/hosts", "/run/hosts":
    try:
        open(path, "w")
        print(path, "is open for writing")
    except OSError as e:
        print(path, e.strerror)
try:
    os.unlink("/run/hosts")
except OSError as e:
    print(e.strerror)'
	[ "$output" = "127.0.1.1 127.0.0.1
127.0.0.1	localhost|127.0.1.1	NAME|::1	localhost ip6-localhost ip6-loopback
/etc/hosts Read-only file system
/run/hosts Permission denied
Operation not permitted" ]
}

@test "no network by default: lo alone, and no socket but AF_UNIX, TCP and UDP" {
	alike '
import os, socket
print(sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else "no /sys")
print([line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line])
for family in socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK:
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW:
        try:
            socket.socket(family, kind).close()
            print(int(family), int(kind), "yes")
        except OSError as e:
            print(int(family), int(kind), e.strerror)'
	[ "$output" = "no /sys
['lo']
1 1 yes
1 2 yes
1 3 yes
2 1 yes
2 2 yes
2 3 Operation not permitted
10 1 yes
10 2 yes
10 3 Operation not permitted
16 1 Operation not permitted
16 2 Operation not permitted
16 3 Operation not permitted" ]
}

@test "lo is up under each policy with sockets" {
	sandboxctl image warm python --policy network >/dev/null
	forks python --policy network
	for policy in default network; do
		for mode in $MODES; do
			run sandboxctl run python --policy "$policy" --start "$mode" --label lo --code '
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.sendall(b"over lo")
print(server.accept()[0].recv(20).decode())'
			[ "$output" = "over lo" ]
			[ "$(mode lo)" = "$mode" ]
		done
	done
}

@test "threads, subprocesses, multiprocessing, asyncio and sqlite work" {
	for mode in $MODES; do
		cat >all.py <<-'EOT'
			import asyncio, concurrent.futures, multiprocessing, sqlite3, subprocess, sys, tempfile

			def square(n):
			    return n * n

			async def sleeper():
			    await asyncio.sleep(0)
			    return "slept"

			if __name__ == "__main__":
			    with concurrent.futures.ThreadPoolExecutor(4) as pool:
			        print(sum(pool.map(square, range(10))))
			    with multiprocessing.Pool(2) as pool:
			        print(sum(pool.map(square, range(10))))
			    print(subprocess.run([sys.executable, "-c", "print('child')"], capture_output=True, text=True).stdout.strip())
			    print(subprocess.run("echo shell", shell=True, capture_output=True, text=True).stdout.strip())
			    print(asyncio.run(sleeper()))
			    print(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0])
			    with tempfile.NamedTemporaryFile() as file:
			        file.write(b"x")
			    print("done")
		EOT
		echo '{"exec": "all.py"}' >task.json
		run --separate-stderr timeout "$PATIENCE" "$CTL" run python --start "$mode" task.json
		echo "$mode: $output $stderr"
		[ "$status" = 0 ]
		[ "$output" = $'285\n285\nchild\nshell\nslept\n42\ndone' ]
	done
}

@test "no signal is ignored or blocked but what Python itself ignores" {
	# These tests start the daemon as a command in the background, for which a shell ignores SIGINT.
	[[ $(grep SigIgn "/proc/$(role monitor)/status") != *0 ]]
	alike '
import signal
print([number for number in range(1, 32) if signal.getsignal(number) == signal.SIG_IGN],
    signal.pthread_sigmask(signal.SIG_BLOCK, []))
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")'
	[ "$output" = "[13, 25] set()
interrupted" ]
}

@test "the clock is right, after a restore too" {
	for mode in $MODES; do
		before=$(date +%s)
		inside=$(sandboxctl run python --start "$mode" --code 'import time; print(int(time.time()))')
		after=$(date +%s)
		[ "$inside" -ge "$before" ]
		[ "$inside" -le "$after" ]
	done
}

@test "tasks do not see each other" {
	id=$(detached python "
open('/tmp/mine', 'w').write('secret')
$FOREVER")
	wait_until "$PATIENCE" log_has "$id" ready
	run sandboxctl run python --code 'import os; print(os.listdir("/tmp"), len([p for p in os.listdir("/proc") if p.isdigit()]))'
	[ "$output" = "[] 2" ]
	sandboxctl cancel --force "$id"
	sandboxctl wait "$id" || true
}
