#!/usr/bin/env bats
# What a task finds in its work folder, and may do with it: as in a folder of its own, in each start
# mode.
# shellcheck disable=SC2154 # stderr is set by run
load daemon

setup_file() {
	WARM=1 daemon_make
}

# same OUTPUT: job/main.py prints this in each start mode, and is started in it.
same() {
	local mode

	echo '{"exec": "main.py", "dir": "job"}' >task.json
	for mode in $MODES; do
		run --separate-stderr sandboxctl run python task.json --start "$mode" --label "files-$mode"
		echo "$mode: $status $output $stderr"
		[ "$status" = 0 ] || return 1
		[ "$output" = "$1" ] || return 1
		[ "$(mode "files-$mode")" = "$mode" ] || return 1
	done
}

# bats test_tags=v2
@test "packaged files are the task's own, with the modes that were sent, but for set-id bits" {
	mkdir -p job/sub
	echo 1 >job/tool && chmod 644 job/tool
	echo 2 >job/key && chmod 400 job/key
	echo 3 >job/program && chmod 6755 job/program
	echo 4 >job/sub/private && chmod 600 job/sub/private
	chmod 2750 job/sub
	cat >job/main.py <<-'EOT'
		import os, shutil
		for name in "tool", "key", "program", "sub", "sub/private":
		    s = os.stat(name)
		    print(name, oct(s.st_mode & 0o7777), (s.st_uid, s.st_gid) == (os.getuid(), os.getgid()), os.access(name, os.R_OK))
		os.chmod("tool", 0o755)
		os.utime("tool", (1, 1))
		open("/tmp/n", "w").write("new")
		shutil.copyfile("/tmp/n", "tool")
		print(open("tool").read(), oct(os.stat("tool").st_mode & 0o7777))
		try:
		    open("key", "w")
		except PermissionError:
		    os.chmod("key", 0o600)
		    open("key", "w").write("mine")
		print(open("key").read())
		os.unlink("sub/private")
	EOT
	same 'tool 0o644 True True
key 0o400 True True
program 0o755 True True
sub 0o750 True True
sub/private 0o600 True True
new 0o755
mine'
	# The task has changed neither the package nor the folder here.
	[ "$(cat job/tool job/key job/sub/private | tr '\n' ' ')" = '1 2 4 ' ]
}

# bats test_tags=v2
@test "the work folder is one file system: folders are renamed, files keep their numbers" {
	mkdir -p job/sub/deep
	echo x >job/sub/deep/x
	cat >job/main.py <<-'EOT'
		import os, shutil
		open("new", "w").close()
		names = ".", "main.py", "sub", "sub/deep/x", "new"
		print(len(set(os.stat(name).st_dev for name in names)), len(set(os.stat(name).st_ino for name in names)))
		before = os.stat("sub/deep/x").st_ino
		os.rename("sub", "sub2")
		os.mkdir("sub")
		print(os.listdir("sub"), os.listdir("sub2/deep"))
		open("sub2/deep/x", "a").write("y")
		print(os.stat("sub2/deep/x").st_ino == before, open("sub2/deep/x").read().split())
		os.rename("sub2/deep", "sub/moved")
		os.rename("sub/moved", "moved")
		print(os.listdir("moved"), os.listdir("sub2"), os.stat("moved/x").st_ino == before)
		shutil.rmtree("moved")
		os.rename("sub2", "sub")
		print(sorted(os.listdir(".")))
	EOT
	same "1 5
[] ['x']
True ['x', 'y']
['x'] [] True
['main.py', 'new', 'sub']"
}

@test "two projects have one package's files each as its own" {
	mkdir job
	echo 1 >job/x
	echo 'import os; os.chmod("x", 0o600); print(os.stat("x").st_uid, os.getuid())' >job/main.py
	same '1000 1000'
	sandboxctl project create other >/dev/null
	run sandboxctl run python task.json --project other
	[ "$output" = '1000 1000' ]
}

@test "these tasks leave nothing behind" {
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}
