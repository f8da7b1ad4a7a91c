# shellcheck shell=bash
# shellcheck disable=SC2154 # the script's
# What the image's own Python does: installs, compiles, imports and lists modules. Sourced by
# image-build, never run. The script has the image's name, interpreter, requirements and imports, the
# folders $out, $rootfs and $work, a file $log, the time $epoch and the command $with_us.

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

# printable: stdin without what a terminal would obey: it comes from the image.
printable() {
	LC_ALL=C sed 's/\xc2[\x80-\x9f]//g; s/[\x00-\x08\x0b-\x1f\x7f]//g'
}

# pip_files DIR: what pip-build is given, in DIR: this machine's configuration of pip, its folders of
# wheels and its certificates, so that an index is found as by pip itself.
pip_files() {
	local file folder ca=/etc/ssl/certs/ca-certificates.crt

	mkdir -m 755 "$1"
	install -m 644 "$here/pip-build" "$1/pip-build"
	[ ! -f "$ca" ] || install -m 644 "$ca" "$1/ca.crt"
	# For an image that has none of its own.
	file=$(compgen -G '/usr/share/python-wheels/pip-*.whl' | sort -V | tail -n 1) || true
	[ -z "$file" ] || install -m 644 "$file" "$1/pip.whl"
	[ ! -f /etc/pip.conf ] || install -m 644 /etc/pip.conf "$1/pip-global.conf"
	for file in "${PIP_CONFIG_FILE:-}" "${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/pip/pip.conf" \
		"${HOME:-/root}/.pip/pip.conf"; do
		if [ -n "$file" ] && [ -f "$file" ]; then
			install -m 644 "$file" "$1/pip-user.conf"
			break
		fi
	done
	for folder in ${PIP_FIND_LINKS:-}; do
		if [ -d "$folder" ]; then
			mkdir -p "$1/wheels"
			find "$folder" -maxdepth 1 -type f \( -name '*.whl' -o -name '*.tar.gz' -o -name '*.zip' \) \
				-exec install -m 644 -t "$1/wheels" {} +
		fi
	done
	# shellcheck disable=SC2016 # $ belongs to jq
	jq -n '{mode: "image", requirements: $ARGS.positional, files: [], no_index: false,
		environment: ($ENV | with_entries(select(.value != "" and (.key | IN("PIP_INDEX_URL",
			"PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_NO_INDEX",
			"PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_PRE", "PIP_ONLY_BINARY", "PIP_NO_BINARY",
			"PIP_PREFER_BINARY", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY",
			"HTTPS_PROXY", "NO_PROXY")))))}' --args "${requirements[@]}" >"$1/settings.json"
}

# install_requirements: Python packages that Debian does not have, by pip with this machine's
# configuration and index. Whatever they run can write below /usr/local alone.
install_requirements() {
	local status=0 network=(--network)

	[ ${#requirements[@]} -gt 0 ] || return 0
	phase "requirements"
	phase_detail "${#requirements[@]} by pip"
	pip_files "$work/pip"
	# With everything in folders, no way out is needed, and none is made.
	[ -z "${PIP_NO_INDEX:-}" ] || network=()
	owned_by "$build_user" usr/local
	in_image "${network[@]}" --writable --files "$work/pip" -- \
		"$interpreter" /work/pip-build >"$work/pip-said" 2>&1 || status=$?
	printable <"$work/pip-said" | tee -a "$log" | sed -n 's/^pip-build: //p' >"$work/pip-notes"
	[ "$status" = 0 ] || phase_end
	sed "s/^/image-build: $name: /" "$work/pip-notes" >&2
	if [ "$status" != 0 ]; then
		[ -s "$work/pip-notes" ] || printable <"$work/pip-said" | grep -E '^(ERROR|sandboxctl): ' >&2 ||
			printable <"$work/pip-said" | tail -n 15 >&2
		die "$name: requirements: pip cannot install them; if its package index is not reachable" \
			"from here, name another by PIP_INDEX_URL or by index-url in /etc/pip.conf"
	fi
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
# what pip brought runs here (-S), where all of the image's modules are writable.
compile_python() {
	local python version options folder folders

	# No path below usr/local is looked at from outside: what pip ran may have put links there.
	owned_by "$build_user" usr/local
	for python in "$rootfs"/usr/bin/python[23].*[0-9]; do
		version=${python##*python}
		[ -f "$python" ] || continue
		folders=()
		for folder in /usr/lib/python"$version" /usr/lib/python"${version%%.*}" \
			/usr/lib/sandbox-runtime; do
			[ ! -d "$rootfs$folder" ] || folders+=("$folder")
		done
		options=(-q)
		[ "$version" = 2.7 ] || options+=(-j "$(nproc)" --invalidation-mode unchecked-hash)
		phase_detail "Python $version"
		owned_by "$build_user" "${folders[@]}"
		# Some packages ship files of another Python's grammar on purpose; those that matter
		# are tried by check_image.
		in_image --writable -- "/usr/bin/python$version" -E -s -S -m compileall "${options[@]}" \
			"${folders[@]}" /usr/local/lib/python"$version" 2>&1 | head -c 16M >>"$log" || true
	done
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
' "${imports[@]}" 2>&1) ||
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
