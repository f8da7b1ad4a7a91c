# shellcheck shell=bash
# shellcheck disable=SC2154 # the script's
# What the image's own Python does: installs, compiles, imports and lists modules. Sourced by
# image-build, never run. The script has the image's name, interpreter, requirements and imports, the
# folders $out and $rootfs, a file $log, the time $epoch and the command $with_us.

# in_image [--net] COMMAND...: runs a command of the image, as root without capabilities, in
# namespaces of its own, with nothing of this machine in reach. /tmp and /dev are thrown away.
in_image() {
	local network=--net extra=()

	if [ "$1" = --net ]; then
		shift
		network=
		extra=("${pip_environment[@]}")
	fi
	# shellcheck disable=SC2016 # for the inner shell
	"${with_us[@]}" unshare --mount --pid --fork --kill-child --ipc --uts $network -- bash -euc '
		root=$1
		shift
		mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
		mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		mkdir -m 1777 "$root/dev/shm"
		for node in null zero random urandom; do
			: >"$root/dev/$node"
			mount --bind "/dev/$node" "$root/dev/$node"
		done
		if [ -n "${BUILD_FILES:-}" ]; then
			for pair in $BUILD_FILES; do
				: >"$root/dev/${pair%%=*}"
				mount --bind "${pair#*=}" "$root/dev/${pair%%=*}"
			done
			mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
		fi
		exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot \
			chroot "$root" "$@"
		' bash "$rootfs" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp \
		LANG=C.UTF-8 PYTHONHASHSEED=0 SOURCE_DATE_EPOCH="$epoch" "${extra[@]}" "$@" </dev/null
}

# Python packages that Debian does not have, by pip with this machine's configuration and index.
install_requirements() {
	local config='' file variable ca=/etc/ssl/certs/ca-certificates.crt

	[ ${#requirements[@]} -gt 0 ] || return 0
	for file in "${PIP_CONFIG_FILE:-}" "${HOME:-/root}/.config/pip/pip.conf" \
		"${HOME:-/root}/.pip/pip.conf" /etc/xdg/pip/pip.conf /etc/pip.conf; do
		if [ -n "$file" ] && [ -f "$file" ]; then
			config=$file
			break
		fi
	done
	pip_environment=(PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
		PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1)
	export BUILD_FILES=
	if [ -n "$config" ]; then
		BUILD_FILES+=" pip.conf=$config"
		pip_environment+=(PIP_CONFIG_FILE=/dev/pip.conf)
	fi
	if [ -f "$ca" ]; then
		BUILD_FILES+=" ca.crt=$ca"
		pip_environment+=(PIP_CERT=/dev/ca.crt)
	fi
	for variable in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST http_proxy https_proxy no_proxy \
		HTTP_PROXY HTTPS_PROXY NO_PROXY; do
		[ -z "${!variable:-}" ] || pip_environment+=("$variable=${!variable}")
	done
	phase "requirements"
	phase_detail "${#requirements[@]} by pip"
	if ! in_image --net "$interpreter" -m pip install --quiet --no-compile "${requirements[@]}" \
		>>"$log" 2>&1; then
		phase_end
		grep -E '^(ERROR|error)' "$log" >&2 || tail -n 15 "$log" >&2
		die "$name: requirements: pip cannot install them; if its package index is not reachable" \
			"from here, name another by PIP_INDEX_URL or by index-url in /etc/pip.conf"
	fi
	unset BUILD_FILES
}

# compile_python: bytecode for every Python and every module, the runtime included. The bytecode
# of Python 3 is never checked against its source again: nobody can write in the image.
compile_python() {
	local python version options folder folders

	for python in "$rootfs"/usr/bin/python[23].*[0-9]; do
		version=${python##*python}
		[ -f "$python" ] || continue
		folders=()
		for folder in /usr/lib/python"$version" /usr/lib/python"${version%%.*}" \
			/usr/local/lib/python"$version" /usr/lib/sandbox-runtime; do
			[ ! -d "$rootfs$folder" ] || folders+=("$folder")
		done
		options=(-q)
		[ "$version" = 2.7 ] || options+=(-j "$(nproc)" --invalidation-mode unchecked-hash)
		phase_detail "Python $version"
		# Some packages ship files of another Python's grammar on purpose; those that matter
		# are tried by check_image.
		in_image "/usr/bin/python$version" -m compileall "${options[@]}" "${folders[@]}" \
			>>"$log" 2>&1 || true
	done
}

# check_image: what people will do first must work, or the image is not worth keeping.
check_image() {
	local message

	[ -x "$rootfs$interpreter" ] || die "$name: interpreter: $interpreter is not in the image;" \
		"add its package to packages"
	message=$(in_image "$interpreter" -c '
import importlib, sys
for name in ["json", "ssl", "sqlite3", "ctypes"] + sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        sys.exit("%s: %s" % (name, error))
' "${imports[@]}" 2>&1) || die "$name: $interpreter cannot import $(tail -n 1 <<<"$message")"
}

# list_modules: asks the image's own Python what it has.
list_modules() {
	in_image "$interpreter" -c '
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
' "$interpreter" >"$out/modules.json" || die "$name: the image's Python does not list its modules"
	jq -e '.python and (.modules | type == "array")' "$out/modules.json" >/dev/null ||
		die "$name: the image's Python does not list its modules"
}
