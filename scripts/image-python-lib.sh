# shellcheck shell=bash
# shellcheck disable=SC2154 # the script's
# What the image's own Python does: installs, compiles, imports and lists modules. Sourced by
# image-build, never run. The script has the image's name, interpreter, requirements and imports, the
# folders $out, $rootfs and $work, a file $log, the time $epoch and the command $with_us.

# How deep folders below usr/local may be: as deep as supervisor/ctl/image_digest.c takes.
LOCAL_DEPTH=60

# in_image [OPTION...] -- COMMAND...: runs a command of the image in a sandbox that is as strict as a
# task's, by `sandboxctl image confine`, whose options these are. By itself it can write nowhere in
# the image, and reaches no network.
in_image() {
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	# A pid namespace around it: whatever ends this script ends the sandbox.
	"${with_us[@]}" unshare --pid --fork --kill-child -- "$confine" image confine \
		--env PYTHONHASHSEED=0 --env SOURCE_DATE_EPOCH="$epoch" "${options[@]}" \
		"$rootfs" "$@" </dev/null
}

# find_confine: the sandboxctl that called this script, or the one beside it.
find_confine() {
	for confine in "${SANDBOXCTL_FULL:-}" "$here/sandboxctl-full" "$here/../build/sandboxctl-full"; do
		[ ! -x "$confine" ] || return 0
	done
	die "sandboxctl-full is not beside this script: nothing of an image runs without its sandbox"
}

# owned_by USER FOLDER...: folders of the image, with all in them. The build's user is nobody in the
# image and on this machine; what it made belongs to root in the end.
owned_by() {
	local user=$1 folder

	shift
	for folder; do
		chown -hR "$user:$user" "$rootfs/$folder"
	done
}

# What pip and all that it runs write goes into a file system of its own, mounted at usr/local: a
# file with as many bytes as the policy's limits.disk, and an inode for each 8 KiB of them. So the
# kernel bounds it while it is written, files without a name too, and none of it is memory.

# open_local: mounts it, the build's user's, with what is there now.
open_local() {
	local bytes free

	! mountpoint -q "$rootfs/usr/local" || return 0
	bytes=$("$confine" image confine --disk)
	# Nor may it take all that the disk has left.
	free=$(($(stat -f -c '%a * %S' "$work") * 3 / 4))
	[ "$bytes" -le "$free" ] || bytes=$free
	[ "$bytes" -ge $((1 << 20)) ] || bytes=$((1 << 20))
	rm -f "$work/local"
	truncate -s "$bytes" "$work/local"
	mkfs.ext4 -q -F -b 4096 -i 8192 -m 0 -O ^has_journal,^resize_inode,uninit_bg \
		-E lazy_itable_init=1,nodiscard "$work/local"
	mkdir -p "$work/empty-local"
	mount -o loop,nosuid,nodev,noatime,noinit_itable "$work/local" "$work/empty-local" ||
		die "what pip writes needs a loop device to be bounded: modprobe loop"
	rmdir "$work/empty-local/lost+found"
	cp -a "$rootfs/usr/local/." "$work/empty-local"
	mount --bind "$work/empty-local" "$rootfs/usr/local"
	umount "$work/empty-local"
	owned_by "$build_user" usr/local
}

# move_local FROM TO: it is mounted in another root from now on.
move_local() {
	mkdir -p "$2/usr/local"
	mount --bind "$1/usr/local" "$2/usr/local"
	umount "$1/usr/local"
}

# check_local: whoever follows walks over what is there by name, and reads it by size: hard links and
# holes make more of both than there are inodes and blocks.
check_local() {
	local bytes names status=0

	bytes=$(($(stat -f -c '%b * %S' "$rootfs/usr/local")))
	names=$(stat -f -c %c "$rootfs/usr/local")
	find "$rootfs/usr/local" -xdev -maxdepth $((LOCAL_DEPTH + 1)) -printf '%d %s\n' |
		awk -v bytes="$bytes" -v names="$names" -v depth="$LOCAL_DEPTH" '
			$1 > depth { exit 3 }
			++n > names { exit 4 }
			(sum += $2) > bytes { exit 5 }' || status=$?
	case $status in
	0) ;;
	3) die "$name: requirements: their folders are nested deeper than $LOCAL_DEPTH below /usr/local" ;;
	4) die "$name: requirements: they have more than $names files below /usr/local, which go with" \
		"limits.disk of policy build; raise it in the policy's file, and install that" ;;
	5) die "$name: requirements: their files have more than $((bytes >> 20)) MiB below /usr/local," \
		"which go with limits.disk of policy build; raise it in the policy's file, and install that" ;;
	*) die "$name: requirements: /usr/local cannot be read" ;;
	esac
}

# close_local: what is there becomes root's, and the image's.
close_local() {
	mountpoint -q "$rootfs/usr/local" || return 0
	check_local
	owned_by root usr/local
	# A disk that is full under it is an error of this call.
	sync -f "$rootfs/usr/local" || die "$name: usr/local: the disk is full"
	rm -rf "$work/usr-local"
	cp -a "$rootfs/usr/local" "$work/usr-local"
	drop_local
	rm -rf "${rootfs:?}/usr/local"
	mv "$work/usr-local" "$rootfs/usr/local"
}

# drop_local: for the script's EXIT trap, too.
drop_local() {
	local folder

	for folder in "$work/empty-local" "$work/build-root/usr/local" "$rootfs/usr/local"; do
		! mountpoint -q "$folder" || umount -l "$folder"
	done
	rm -f "$work/local"
}

# printable: stdin without what a terminal would obey: it comes from the image. So does the length of
# its lines, each of which is held in memory.
printable() {
	LC_ALL=C cut -b -4096 | LC_ALL=C sed 's/\xc2[\x80-\x9f]//g; s/[\x00-\x08\x0b-\x1f\x7f]//g'
}

# pip_files DIR: what pip-build is given, in DIR: what it may know of this machine's configuration of
# pip (pip-index keeps the rest), its folders of wheels, and its certificates.
pip_files() {
	local file folder told ca=/etc/ssl/certs/ca-certificates.crt

	told=$("$here/pip-index" settings) || die "$name: requirements: this machine's configuration of pip cannot be used"
	mkdir -m 755 "$1"
	install -m 644 "$here/pip-build" "$1/pip-build"
	[ ! -f "$ca" ] || install -m 644 "$ca" "$1/ca.crt"
	# For an image that has none of its own.
	file=$(compgen -G '/usr/share/python-wheels/pip-*.whl' | sort -V | tail -n 1) || true
	[ -z "$file" ] || install -m 644 "$file" "$1/pip.whl"
	while IFS= read -r folder; do
		mkdir -p "$1/wheels"
		find "$folder" -maxdepth 1 -type f \( -name '*.whl' -o -name '*.tar.gz' -o -name '*.zip' \) \
			-exec install -m 644 -t "$1/wheels" {} +
	done < <(jq -r '.find_links[]' <<<"$told")
	# shellcheck disable=SC2016 # $ belongs to jq
	jq '{mode: "image", requirements: $ARGS.positional, files: []} + del(.find_links)' \
		--args "${requirements[@]}" <<<"$told" >"$1/settings.json"
}

# install_requirements: Python packages that Debian does not have, by pip with this machine's
# configuration and index. Whatever they run can write below /usr/local alone.
install_requirements() {
	local status=0 network=(--network --index)

	[ ${#requirements[@]} -gt 0 ] || return 0
	phase "requirements"
	phase_detail "${#requirements[@]} by pip"
	# The index is asked outside of the sandbox, and the policy decides about every other way out.
	pip_files "$work/pip"
	# With everything in folders, no way out is needed, and none is made.
	! jq -e '.no_index and .pages == 0' "$work/pip/settings.json" >/dev/null || network=()
	open_local
	in_image "${network[@]}" --writable usr/local --files "$work/pip" -- \
		"$interpreter" /work/pip-build >"$work/pip-said" 2>&1 || status=$?
	printable <"$work/pip-said" | tee -a "$log" | sed -n 's/^pip-build: //p; s/^sandboxctl: //p' >"$work/pip-notes"
	[ "$status" = 0 ] || phase_end
	sed "s/^/image-build: $name: /" "$work/pip-notes" >&2
	if [ "$status" != 0 ]; then
		[ -s "$work/pip-notes" ] || printable <"$work/pip-said" | grep '^ERROR: ' >&2 ||
			printable <"$work/pip-said" | tail -n 15 >&2
		die "$name: requirements: pip cannot install them; if its package index is not reachable" \
			"from here, name another by PIP_INDEX_URL or by index-url in /etc/pip.conf"
	fi
	check_local
}

# check_requirements: says which libraries what pip brought does not find in the image itself: where pip
# ran, there may have been more. It can write nowhere, and has no network.
check_requirements() {
	[ ${#requirements[@]} -gt 0 ] || return 0
	jq '.mode = "libraries"' "$work/pip/settings.json" >"$work/settings.json"
	install -m 644 "$work/settings.json" "$work/pip/settings.json"
	in_image --files "$work/pip" -- "$interpreter" -S /work/pip-build >"$work/pip-said" 2>&1 ||
		die "$name: requirements: $(tail -n 1 "$work/pip-said" | printable)"
	tell_notes
}

# tell_notes: what pip-build itself said, of all that is in pip-said.
tell_notes() {
	printable <"$work/pip-said" | tee -a "$log" | sed -n "s/^pip-build: /image-build: $name: /p" >&2
}

# compile_python: bytecode for every Python and every module, the runtime included. The bytecode
# of Python 3 is never checked against its source again: nobody can write in the image. Nothing of
# what pip brought runs here (-S); its bytecode, which can be many times as large as it is, goes
# where pip's own files are.
compile_python() {
	local python version options folder folders writable

	for python in "$rootfs"/usr/bin/python[23].*[0-9]; do
		version=${python##*python}
		[ -f "$python" ] || continue
		folders=()
		writable=()
		for folder in /usr/lib/python"$version" /usr/lib/python"${version%%.*}" \
			/usr/lib/sandbox-runtime; do
			[ ! -d "$rootfs$folder" ] || folders+=("$folder") writable+=(--writable "$folder")
		done
		options=(-q)
		[ "$version" = 2.7 ] || options+=(-j "$(nproc)" --invalidation-mode unchecked-hash)
		phase_detail "Python $version"
		owned_by "$build_user" "${folders[@]}"
		# Some packages ship files of another Python's grammar on purpose; those that matter
		# are tried by check_image.
		in_image "${writable[@]}" -- "/usr/bin/python$version" -E -s -S -m compileall \
			"${options[@]}" "${folders[@]}" 2>&1 | head -c 16M >>"$log" || true
		[ ${#requirements[@]} -gt 0 ] || continue
		open_local
		# No path below it is looked at from outside: what pip ran may have put links there.
		in_image --writable usr/local -- "/usr/bin/python$version" -E -s -S -m compileall \
			"${options[@]}" /usr/local/lib/python"$version" 2>&1 | head -c 16M >"$work/compiled" || true
		printable <"$work/compiled" >>"$log"
		# Without its bytecode an image works; beyond its room it is not to be had.
		! grep '^sandboxctl: ' "$work/compiled" >&2 || die "$name: requirements: they cannot be compiled"
	done
	close_local
	owned_by root usr/lib usr/local
}

# check_image: what people will do first must work, or the image is not worth keeping.
check_image() {
	local message

	[ -x "$rootfs$interpreter" ] || die "$name: interpreter: $interpreter is not in the image;" \
		"add its package to packages"
	message=$(in_image -- "$interpreter" -c '
import importlib, sys
for name in ["json", "ssl", "sqlite3", "ctypes"] + sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        sys.exit("%s: %s" % (name, error))
' "${imports[@]}" 2>&1 | tail -c 64K) ||
		die "$name: $interpreter cannot import $(tail -n 1 <<<"$message" | printable)"
}

# list_modules: asks the image's own Python what it has.
list_modules() {
	in_image -- "$interpreter" -c '
import glob, json, os, platform, sys

def from_metadata():
    from importlib import metadata
    for found in metadata.distributions():
        yield found.metadata["Name"], found.version

def from_folders():
    for folder in (folder for folder in sys.path if folder.endswith("-packages")):
        for path in glob.glob(folder + "/*.dist-info") + glob.glob(folder + "/*.egg-info"):
            for inner in ("METADATA", "PKG-INFO", ""):
                path_ = os.path.join(path, inner) if inner else path
                if os.path.isfile(path_):
                    head = dict(line.rstrip().split(": ", 1) for line in open(path_)
                                if line.startswith(("Name: ", "Version: ")))
                    yield head.get("Name"), head.get("Version")
                    break

modules = {}
for name, version in (from_metadata if sys.version_info >= (3, 8) else from_folders)():
    if name and version:
        modules.setdefault(name, version)
print(json.dumps({"python": platform.python_version(), "interpreter": sys.argv[1],
    "modules": [{"name": name, "version": modules[name]}
                for name in sorted(modules, key=lambda name: (name.lower(), name))]},
    indent=1, sort_keys=True))
' "$interpreter" | head -c 16M >"$out/modules.json" || die "$name: the image's Python does not list its modules"
	jq -e '.python and (.modules | type == "array")' "$out/modules.json" >/dev/null ||
		die "$name: the image's Python does not list its modules"
}
