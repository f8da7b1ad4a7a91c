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

# describe MEMBERS: writes the source's image.json, with these members added.
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

# refused WORDS SCRIPT: a build whose tree SCRIPT has spoiled fails with these words, and the image that
# was there stays.
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

# runtime WORD: image ls, image inspect and doctor call the image's runtime this.
runtime() {
	[ "$(sandboxctl image ls --json | jq -r '.[0].runtime')" = "$1" ]
	[ "$(sandboxctl image inspect tiny --json | jq -r .runtime)" = "$1" ]
	if [ "$1" = other ]; then
		sandboxctl image ls 2>&1 >/dev/null | grep -F "of another version of sandboxd"
		sandboxctl image inspect tiny | grep -E "^runtime .*build the image again"
		sandboxctl doctor | grep -E '^WARN +images +of another version of sandboxd.*: tiny'
	else
		[ -z "$(sandboxctl image ls 2>&1 >/dev/null)" ]
		run ! grep -E '^runtime' < <(sandboxctl image inspect tiny)
		sandboxctl doctor | grep -E '^OK +images +1: tiny'
	fi
}

@test "an image that keeps the runtime of another version is said to be one, until it is built again" {
	sandboxctl image build "$SRC"
	runtime current
	echo 'pass # changed' >"$RUNTIME_DIR/boot.py"
	runtime other
	sandboxctl image build "$SRC"
	runtime current
	echo 'pass' >"$RUNTIME_DIR/new.py"
	runtime other
	sandboxctl image build "$SRC"
	runtime current
	rm "$RUNTIME_DIR/new.py"
	runtime other
	mkdir -p "$RUNTIME_DIR/http/own"
	echo 'pass' >"$RUNTIME_DIR/http/own/new.py"
	sandboxctl image build "$SRC"
	runtime current
	echo 'pass # changed' >"$RUNTIME_DIR/http/own/new.py"
	runtime other
	sandboxctl image build "$SRC"
	runtime current
	rm -r "$RUNTIME_DIR/http"
	runtime other
	mv "$RUNTIME_DIR" "$RUNTIME_DIR.gone"
	runtime null
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
	# The script itself and each of its libraries count.
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
	refused "rootfs/usr/lib/hole: with it the image has more than 64 GiB" 'truncate -s 1T "$root/usr/lib/hole"'
	refused "is nested too deep" 'mkdir -p "$root/$(printf "d/%.0s" {1..70})"'
	for name in proc sys dev tmp run work; do
		refused "rootfs/$name is not a folder of its own" \
			"rmdir \"\$root/$name\"; ln -s / \"\$root/$name\""
	done
}

@test "an interpreter that is not in the image is refused" {
	refused "interpreter: /usr/bin/python3 in the image" 'rm "$root/usr/bin/python3.11"'
	# A link that leads out of the image is followed inside it, where its target does not exist.
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

# gone PID: the process does not exist, or only waits to be reaped.
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
	# The build of another image goes on beside it.
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

# deb PACKAGE SOURCE FILE...: writes an archive of a package with these files, and unpacks it.
deb() {
	local root=$BATS_TEST_TMPDIR/deb/$1 archives=$OUT/rootfs/var/cache/apt/archives file

	mkdir -p "$root/DEBIAN" "$archives"
	printf 'Package: %s\nSource: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody\nDescription: none\n' \
		"$1" "$2" >"$root/DEBIAN/control"
	for file in "${@:3}"; do
		mkdir -p "$(dirname "$root/$file")"
		echo content >"$root/$file"
	done
	(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | xargs -r md5sum >DEBIAN/md5sums)
	dpkg-deb --build --root-owner-group "$root" "$archives/$1_1%3a1.0_all.deb" >/dev/null
	dpkg-deb --fsys-tarfile "$archives/$1_1%3a1.0_all.deb" | tar -x --keep-directory-symlink -C "$OUT/rootfs"
}

@test "what image.json names keeps all its files, and so do those of the same source; others lose what is pruned" {
	OUT=$BATS_TEST_TMPDIR/out
	mkdir -p "$OUT/rootfs/usr/bin" "$OUT/work"
	ln -s usr/bin "$OUT/rootfs/bin"
	deb perl perl usr/share/man/man1/perl.1 usr/share/perl/5.36.0/x.pm usr/include/perl.h
	deb perl-base perl bin/perl usr/share/perl/5.36.0/base.pm
	deb openssl openssl usr/bin/openssl usr/share/doc/openssl/README
	deb python3-x x usr/lib/python3/dist-packages/x.py usr/lib/python3/dist-packages/x.h
	deb libpython stdlib usr/lib/python3.11/test/support.py usr/lib/python3.11/pydoc_data/topics.py usr/lib/python3.11/json.py
	ln -s perl.1 "$OUT/rootfs/usr/share/man/man1/alias.1"
	ln -s alias.1 "$OUT/rootfs/usr/share/man/man1/again.1"
	# One link leads to a folder of files that are kept, the other to one of files that are removed.
	ln -s 5.36.0 "$OUT/rootfs/usr/share/perl/5.36"
	ln -s ../doc/openssl "$OUT/rootfs/usr/share/man/folder"
	ln -s /usr/bin/perl "$OUT/rootfs/usr/bin/perl5"
	ln -s ../doc/openssl/README "$OUT/rootfs/usr/share/man/gone"
	IMAGE_NAMED='perl python3-x' IMAGE_PACKAGES=$OUT/packages.txt IMAGE_KEPT=$OUT/work/kept \
		SANDBOXD_LIBEXEC=$TOP/scripts "$E2E/image-steps" "$OUT" '(list_archives "$rootfs")' prune
	run find "$OUT/rootfs/usr" ! -type d -printf '%P\n'
	diff <(sort <<<"$output") - <<-EOT
		bin/perl
		bin/perl5
		include/perl.h
		lib/python3.11/json.py
		lib/python3.11/pydoc_data/topics.py
		lib/python3/dist-packages/x.h
		lib/python3/dist-packages/x.py
		share/man/man1/again.1
		share/man/man1/alias.1
		share/man/man1/perl.1
		share/perl/5.36
		share/perl/5.36.0/base.pm
		share/perl/5.36.0/x.pm
	EOT
	[ ! -e "$OUT/rootfs/usr/share/doc" ]
	[ "$(tr '\n' , <"$OUT/packages.txt")" = 'libpython 1.0,openssl 1.0,perl 1.0,perl-base 1.0,python3-x 1.0,' ]
}

@test "a package of the runtime is in the last folder of Python 3's path, unless the image has one of that name" {
	local at=usr/lib/python3/dist-packages

	OUT=$BATS_TEST_TMPDIR/out
	mkdir -p "$OUT/rootfs/usr/bin" "$OUT/runtime/modules/one" "$OUT/runtime/modules/two" "$OUT/rootfs/$at/two"
	touch "$OUT/rootfs/usr/bin/python3" "$OUT/runtime/modules/one/__init__.py" "$OUT/runtime/modules/two/__init__.py"
	SANDBOXD_LIBEXEC=$TOP/scripts "$E2E/image-steps" "$OUT" "runtime=$OUT/runtime" copy_runtime
	[ "$(readlink "$OUT/rootfs/$at/one")" = /usr/lib/sandbox-runtime/modules/one ]
	[ -f "$OUT/rootfs/usr/lib/sandbox-runtime/modules/one/__init__.py" ]
	[ ! -L "$OUT/rootfs/$at/two" ]
	rm -r "$OUT/rootfs"
	mkdir -p "$OUT/rootfs/usr/bin"
	touch "$OUT/rootfs/usr/bin/python2.7"
	SANDBOXD_LIBEXEC=$TOP/scripts "$E2E/image-steps" "$OUT" "runtime=$OUT/runtime" copy_runtime
	[ ! -e "$OUT/rootfs/usr/lib/python3" ]
}

@test "an image with a compiler keeps the headers and static libraries of all its packages, and no other does" {
	local file

	OUT=$BATS_TEST_TMPDIR/out
	for file in other usr/bin/gcc-12 usr/bin/clang-14; do
		rm -rf "$OUT"
		mkdir -p "$OUT/rootfs/usr/bin" "$OUT/work"
		deb libc-dev libc usr/include/errno.h usr/lib/gcc/x/12/libgcc.a usr/share/doc/libc-dev/README "$file"
		deb libpython-dev python usr/lib/python3.11/config-3.11-x/Makefile
		: >"$OUT/work/kept"
		SANDBOXD_LIBEXEC=$TOP/scripts "$E2E/image-steps" "$OUT" prune
		run find "$OUT/rootfs/usr" -type f -printf '%P '
		rm -rf "$BATS_TEST_TMPDIR/deb"
		[[ $output != *README* ]]
		for kept in errno.h libgcc.a Makefile; do
			if [ "$file" = other ]; then
				[[ $output != *$kept* ]] || fail "$output"
			else
				[[ $output == *$kept* ]] || fail "$output"
			fi
		done
	done
}
