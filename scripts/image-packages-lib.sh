# shellcheck shell=bash
# shellcheck disable=SC2154 # the script's
# The Debian packages of an image: where they come from, and what they unpack to. Sourced by
# image-build, never run. The script has read the image's name, suite and packages, and has the
# folders $out, $rootfs and $work, a file $log and the command $with_us.

# In every image: a shell and the usual small tools for subprocesses, the C.UTF-8 locale, time
# zones, service names, and the certificates that a task with network needs.
BASE_PACKAGES=(base-files libc-bin dash coreutils ca-certificates netbase tzdata media-types)

# And the libraries that a wheel on PyPI may rely on without bringing them (manylinux, PEP 600), but
# for those of a display (libX11 and its kind, libGL with 100 MB of drivers): a sandbox has none,
# and what wants them is told by name when it is installed.
BASE_PACKAGES+=(libgcc-s1 libstdc++6 zlib1g libexpat1 libatomic1 libglib2.0-0)

# And where there is a compiler: what Debian takes for granted wherever a source is built (its essential
# packages, make), and scripts like python3-config and configure call.
BUILD_PACKAGES=(bash debianutils diffutils findutils grep gzip hostname make sed tar)

# Needed by others on paper only. python3-scipy depends on python3-pythran, a compiler that it
# uses when it is built itself, and that would bring 500 MB with it.
EMPTY_PACKAGES=(python3-pythran)

# find_sources: fills base_sources with the image's suite, and extra_sources with its updates and
# security suites where the archives have them (testing and unstable have none that matter).
find_sources() {
	local kind uri keyring full probe=$work/probe

	base_sources=()
	extra_sources=()
	while read -r kind uri keyring; do
		if [ "$kind" = base ]; then
			base_sources+=("deb [signed-by=$keyring] $uri $suite main")
			continue
		fi
		full=$suite-$kind
		if apt_download "$uri/dists/$full/InRelease" "$probe" 2>/dev/null; then
			extra_sources+=("deb [signed-by=$keyring] $uri $full main")
		fi
	done < <(apt_archives)
	[ ${#base_sources[@]} -gt 0 ] ||
		die "the apt sources of this machine name no Debian archive for $(apt_host_suite)"
}

# make_empty_packages DIR: a local repository with a package of no content for each EMPTY_PACKAGES.
make_empty_packages() {
	local dir=$1 package deb

	mkdir -p "$dir"
	for package in "${EMPTY_PACKAGES[@]}"; do
		deb=$package.deb
		mkdir -p "$work/empty/$package/DEBIAN"
		cat >"$work/empty/$package/DEBIAN/control" <<-CONTROL
			Package: $package
			Version: 999
			Architecture: all
			Maintainer: image-build <root@localhost>
			Description: stands in for a package that nothing uses when it runs
		CONTROL
		dpkg-deb --build --root-owner-group "$work/empty/$package" "$dir/$deb" >/dev/null
		{
			cat "$work/empty/$package/DEBIAN/control"
			printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$dir/$deb")" \
				"$(sha256sum "$dir/$deb" | cut -d' ' -f1)"
		} >>"$dir/Packages"
	done
	chmod -R a+rX "$work"
}

# unpacked: how many packages are, while mmdebstrap says nothing: each brings a folder of its name.
unpacked() {
	local folders=("$rootfs"/usr/share/doc/*)

	echo ${#folders[@]}
}

# follow_line LINE: moves the progress display along.
follow_line() {
	case $1 in
	*'running apt-get update'*) phase "package lists" ;;
	*'downloading packages'*) phase "download" ;;
	*' newly installed,'*)
		total=${1#*, }
		total=${total%% *}
		;;
	Get:*)
		[ "$progress_phase" = download ] || return 0
		got=$((got + 1))
		phase_detail "$got of $total packages"
		;;
	*'extracting archives'*) phase "unpack" ;;
	*'running --extract-hook'*) phase_detail "$total packages" ;;
	*'cleaning package lists'*) phase "clean up" ;;
	esac
}

# follow_bootstrap: mmdebstrap's output on stdin, into the log and the progress display.
follow_bootstrap() {
	local line='' part status total='?' got=0

	while true; do
		status=0
		IFS= read -r -t 0.5 part || status=$?
		line+=$part
		if [ "$status" -eq 0 ]; then
			printf '%s\n' "$line" >>"$log"
			follow_line "$line"
			line=
		elif [ "$status" -le 128 ]; then
			break
		elif [ "$progress_phase" = unpack ]; then
			phase_detail "$(unpacked) of $total packages"
		fi
	done
	phase_end
}

# list_archives ROOT: mmdebstrap's hook, in a shell of its own, while the packages' archives are there.
# Nothing is registered with dpkg: they themselves say what is in the image. IMAGE_PACKAGES is their
# list; IMAGE_KEPT is the files, by their paths in the image, of those that image.json names
# (IMAGE_NAMED) and of all others that come from the same sources: perl's program is perl-base's.
list_archives() {
	local deb

	cd "$1/var/cache/apt/archives" || exit
	for deb in *.deb; do
		dpkg-deb --show --showformat="\${Package} \${Version} \${source:Package} $deb\n" "$deb"
	done | LC_ALL=C sort >"$IMAGE_PACKAGES.all"
	cut -d ' ' -f 1,2 "$IMAGE_PACKAGES.all" >"$IMAGE_PACKAGES"
	awk -v named=" $IMAGE_NAMED " '
		NR == FNR { if (index(named, " " $1 " ")) wanted[$3]; next }
		$3 in wanted { print $4 }' "$IMAGE_PACKAGES.all" "$IMAGE_PACKAGES.all" |
		while read -r deb; do
			dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./md5sums 2>/dev/null | cut -c 35- || true
			dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./conffiles 2>/dev/null | sed 's,^/,,' || true
		done | sed -E 's,^(bin|sbin|lib|lib64)/,usr/&,' >"$IMAGE_KEPT"
	rm "$IMAGE_PACKAGES.all"
}

# bootstrap SOURCE...: one try to make rootfs from these sources.
bootstrap() {
	local all=("${BASE_PACKAGES[@]}" "${packages[@]}")

	if printf '%s\n' "${packages[@]}" |
		grep -xE '(gcc|g\+\+|clang|gfortran|rustc|cargo|build-essential)(-[0-9.]+)?' >/dev/null; then
		all+=("${BUILD_PACKAGES[@]}")
	fi
	phase_end
	rm -rf "$rootfs"
	# /usr merged before any package lands: the packages that would see to it are not among
	# those of an extracted image, and /bin and /lib would become directories.
	# shellcheck disable=SC2016 # for the shell that runs the hook
	local merge='for d in bin sbin lib lib64; do
		mkdir -p "$1/usr/$d" && ln -s "usr/$d" "$1/$d"; done'
	{
		printf '#!/bin/bash\nset -euo pipefail\n'
		declare -f list_archives
		# shellcheck disable=SC2016
		echo 'list_archives "$1"'
	} >"$work/list-archives"
	chmod 755 "$work/list-archives"

	# Nothing of ours is open in it: apt has dash write to a descriptor that it has opened itself, and
	# dash knows those of one digit alone. A pid namespace, so that an interrupted build leaves none of
	# mmdebstrap's children behind.
	IMAGE_PACKAGES=$out/packages.txt IMAGE_KEPT=$work/kept IMAGE_NAMED="${named[*]}" "${with_us[@]}" unshare --mount --pid --mount-proc --fork \
		--kill-child -- mmdebstrap --verbose --mode=root --variant=extract --format=directory \
		--include="$(IFS=, && echo "${all[*]}")" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
		--setup-hook="$merge" --extract-hook="$work/list-archives" \
		"$suite" "$rootfs" "deb [trusted=yes] copy:$work/repository ./" "$@" \
		</dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- | follow_bootstrap
}

# The last resort for a file that the mirror lacks: the release as it was first published.
bootstrap_with_fallback() {
	local missing

	if bootstrap "${base_sources[@]}" "${extra_sources[@]}"; then
		return
	fi
	missing=$(sed -n 's/^E: Failed to fetch \([^ ]*\) .*/\1/p' "$log" | sort -u)
	if [ -n "$missing" ] && [ ${#extra_sources[@]} -gt 0 ]; then
		echo "image-build: $name: the mirror lacks these files:" >&2
		printf '  %s\n' "$missing" >&2
		echo "image-build: $name: building WITHOUT the updates of $suite; build again later" >&2
		if bootstrap "${base_sources[@]}"; then
			return
		fi
	fi
	echo "image-build: $name: the packages cannot be had; mmdebstrap says:" >&2
	# Without the lists that the empty repository does not have, and the command lines.
	grep -E '^E:|^Err:|[Uu]nmet|Depends:|not installable' "$log" |
		grep -vE '^Err:.* copy:| --?o[A-Z].* failed$' | tail -n 15 >&2
	exit 1
}
