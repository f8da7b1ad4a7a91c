# shellcheck shell=bash
# shellcheck disable=SC2154 # the script's
# From unpacked packages to the root filesystem of a sandbox: what goes, what the maintainer scripts
# would have done, and what nothing in an image may have. Sourced by image-build, never run. The
# script has the image's name and interpreter, the folders $rootfs and $runtime, and the time $epoch.

# Removed from what the packages bring, by find's patterns. Not */tests/*: scipy imports some.
PRUNED=(
	/usr/share/{man,doc,info,locale,lintian,bug,doc-base,menu,bash-completion,zsh,applications}
	/usr/share/{pixmaps,icons,debconf,gcc,gdb,i18n,dpkg,perl,perl5,'perl/*',base-files,base-passwd}
	/usr/share/zoneinfo/right '/usr/lib/*/perl*' '/usr/bin/perl*' /usr/bin/openssl
	'/usr/bin/deb*' '/usr/sbin/dpkg*' '/usr/bin/dpkg*' '/usr/sbin/update-*' /usr/bin/update-alternatives
	/var/lib/{dpkg,apt} /var/cache /var/log /usr/lib/{apt,dpkg,systemd,udev,init}
	/etc/{apt,dpkg,init.d,default,cron.d,cron.daily,logrotate.d,alternatives,skel,update-motd.d}
	/etc/{debconf.conf,ca-certificates,kernel,fstab}
	'/usr/lib/python[23].*/'{idlelib,turtledemo,test}
)

# And these, where nothing is compiled: a compiler needs those of the packages that its own bring, too.
# libgcc.a, the kernel's headers and Python.h are of packages that nobody names.
PRUNED_SOURCES=(
	/usr/include '/usr/lib/*/*.a' '/usr/lib/python[23].*/config-*'
	'/usr/lib/python*/*.'{h,hpp,pxd,pyx,pyi,a,f90,c}
)

# write_file MODE PATH: stdin becomes a file of the image, in place of whatever is there.
write_file() {
	mkdir -p "$(dirname "$rootfs/$2")"
	rm -rf "${rootfs:?}/$2"
	cat >"$rootfs/$2"
	chmod "$1" "$rootfs/$2"
}

# compiles: is there a compiler in the image, or does its name say that sources are compiled in it?
compiles() {
	[[ $name == *-build ]] || compgen -G "$rootfs/usr/bin/gcc-[0-9]*" >/dev/null ||
		compgen -G "$rootfs/usr/bin/clang-[0-9]*" >/dev/null
}

# prune: no manuals, no headers, no package tools; but what image.json names keeps all that it has.
# (mmdebstrap's own path-exclude would cost a process and a second per ten packages.)
prune() {
	local pattern patterns=("${PRUNED[@]}") tests=()

	compiles || patterns+=("${PRUNED_SOURCES[@]}")
	for pattern in "${patterns[@]}"; do
		tests+=(-o -path ".$pattern")
	done
	# Character set converters: Python has its own, libxml2 asks the C library.
	compgen -G "$rootfs/usr/lib/*/libxml2.so*" >/dev/null ||
		tests+=(-o -path './usr/lib/*/gconv')
	# No path of a package has a newline.
	(
		cd "$rootfs" || exit
		find . -xdev \( "${tests[@]:1}" \) -prune -printf '%P\0' >"$work/pruned"
		xargs -0 -a "$work/pruned" -r sh -c 'exec find "$@" ! -type d' sh | LC_ALL=C sort >"$work/pruned-files"
		LC_ALL=C sort -u "$work/kept" | LC_ALL=C comm -23 "$work/pruned-files" - >"$work/unkept"
		# A package's list has no links: one stays where what it leads to is kept.
		# shellcheck disable=SC2094 # it is read twice
		tr '\n' '\0' <"$work/unkept" |
			xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 -type l -printf "%p\n%h/%l\n"' sh |
			kept_links | LC_ALL=C sort | LC_ALL=C comm -23 "$work/unkept" - | tr '\n' '\0' |
			xargs -0 -r rm -f
		# Each folder that is empty now.
		xargs -0 -a "$work/pruned" -r sh -c 'exec find "$@" -depth -type d -empty -delete' sh 2>/dev/null || true
	)
}

# kept_links: of links, a line with the path and one with the target of each, those whose target is one
# of the files that are kept, a folder with one in it, or another link that stays.
kept_links() {
	awk -v kept="$work/kept" '
		BEGIN {
			while ((getline path < kept) > 0) {
				do
					is_kept[path]
				while (sub(/\/[^\/]*$/, "", path) && !(path in is_kept))
			}
		}
		NR % 2 { link = $0; next }
		{
			# An absolute target begins anew: "usr/bin//etc/x". Then a/../b is b.
			sub(/^.*\/\//, "")
			n = split($0, parts, "/")
			path = ""
			for (i = 1; i <= n; i++) {
				if (parts[i] == "..")
					sub(/\/?[^\/]*$/, "", path)
				else if (parts[i] != "." && parts[i] != "")
					path = path (path == "" ? "" : "/") parts[i]
			}
			leads_to[link] = path
		}
		END {
			do {
				more = 0
				for (link in leads_to) {
					if (!(leads_to[link] in is_kept) || link in is_kept)
						continue
					is_kept[link]
					more = 1
					print link
				}
			} while (more)
		}'
}

# Everything that the maintainer scripts of the packages would have done and a task would miss.
# Comes before anything of the image runs: the paths here are still what Debian's packages hold.
fix_up() {
	link_programs
	write_etc
	bundle_certificates
	make_folders
	ldconfig -r "$rootfs"
	rm -rf "$rootfs/var/cache"
}

# link_programs: what update-alternatives would have linked.
link_programs() {
	local lib link

	for lib in "$rootfs"/usr/lib/*-linux-gnu; do
		# Whichever BLAS came: with scipy, the reference one.
		for link in blas/libblas.so.3 lapack/liblapack.so.3; do
			[ ! -e "$lib/$link" ] || ln -sfn "$link" "$lib/${link##*/}"
		done
	done
	ln -sfn dash "$rootfs/usr/bin/sh"
	# As IronWorker's own command calls it in its packages' __runner__.sh.
	if [ ! -e "$rootfs/usr/bin/python" ]; then
		ln -sfn "${interpreter##*/}" "$rootfs/usr/bin/python"
	fi
	for link in mawk:awk uwsgi-core:uwsgi gcc:cc g++:c++ which.debianutils:which; do
		[ ! -e "$rootfs/usr/bin/${link%:*}" ] || ln -sfn "${link%:*}" "$rootfs/usr/bin/${link#*:}"
	done
}

write_etc() {
	write_file 644 etc/passwd <<-'FILE'
		root:x:0:0:root:/root:/usr/sbin/nologin
		task:x:1000:1000:task:/tmp:/bin/sh
		nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
	FILE
	write_file 644 etc/group <<-'FILE'
		root:x:0:
		task:x:1000:
		nogroup:x:65534:
	FILE
	write_file 644 etc/nsswitch.conf <<-'FILE'
		passwd: files
		group: files
		hosts: files dns
		services: files
		protocols: files
	FILE
	write_file 644 etc/hosts <<-'FILE'
		127.0.0.1 localhost
		::1 localhost ip6-localhost ip6-loopback
	FILE
	write_file 644 etc/resolv.conf </dev/null
	write_file 644 etc/hostname <<<sandbox
	ln -sfn /usr/share/zoneinfo/Etc/UTC "$rootfs/etc/localtime"
	write_file 644 etc/timezone <<<Etc/UTC
}

# bundle_certificates: one for OpenSSL's default file and for programs that know Debian's path.
bundle_certificates() {
	sed '' "$rootfs"/usr/share/ca-certificates/mozilla/*.crt |
		write_file 644 etc/ssl/certs/ca-certificates.crt
	mkdir -p "$rootfs/usr/lib/ssl"
	ln -sfn /etc/ssl/certs/ca-certificates.crt "$rootfs/usr/lib/ssl/cert.pem"
	rm -rf "$rootfs/usr/share/ca-certificates"
}

# make_folders: those that a sandbox mounts on, and those that programs take for granted.
make_folders() {
	local d

	for d in proc sys dev tmp run work; do
		rm -rf "${rootfs:?}/$d"
		mkdir -m 755 "$rootfs/$d"
	done
	chmod 1777 "$rootfs/tmp"
	mkdir -p "$rootfs/root" "$rootfs/var/tmp" "$rootfs/usr/local/lib"
	chmod 1777 "$rootfs/var/tmp"
	rm -rf "$rootfs/var/run"
	ln -s ../run "$rootfs/var/run"
	# Where an HTTP worker's code expects its own files to be.
	mkdir -p "$rootfs/session"
	ln -sfn /work "$rootfs/session/metadata"
	# What services know their home by, and where they and their servers write logs.
	[ -e "$rootfs/usr/sbin/nginx" ] || return 0
	rm -rf "$rootfs/home/dotcloud" "$rootfs/var/log"
	mkdir -p "$rootfs/home" "$rootfs/var/log"
	ln -sfn /work "$rootfs/home/dotcloud"
	for d in nginx supervisor uwsgi; do
		ln -sfn "/work/.log/$d" "$rootfs/var/log/$d"
	done
}

copy_runtime() {
	local to=$rootfs/usr/lib/sandbox-runtime file

	mkdir -p "$to"
	(cd "$runtime" && find . -type f \( -name '*.py' -o -name '*.so' \) -print0) |
		while IFS= read -r -d '' file; do
			install -D -m 644 -o root -g root "$runtime/$file" "$to/$file"
		done
	find "$to" -exec touch -d "@$epoch" {} +
	# Modules that a task may import: in the last folder of the path, where any other one of that name
	# is found before. Python 2 has another folder.
	compgen -G "$rootfs/usr/bin/python3*" >/dev/null || return 0
	mkdir -p "$rootfs/usr/lib/python3/dist-packages"
	for file in "$runtime"/modules/*/; do
		file=$(basename "$file")
		[ -e "$rootfs/usr/lib/python3/dist-packages/$file" ] ||
			ln -s "/usr/lib/sandbox-runtime/modules/$file" "$rootfs/usr/lib/python3/dist-packages/$file"
	done
}

# seal: no privilege and no device in the image, all of it root's and nobody else's to write, and the
# same input gives the same times.
seal() {
	local d

	find "$rootfs" -xdev \( ! -uid 0 -o ! -gid 0 \) -exec chown -h 0:0 {} +
	find "$rootfs" -xdev \( -type b -o -type c -o -type p -o -type s \) -delete
	find "$rootfs" -xdev -type f -perm /6000 -exec chmod a-s {} +
	find "$rootfs" -xdev -type d -perm /6000 -exec chmod ug-s {} +
	# On this machine its folders are open to everybody: an image that one of its users could write
	# to would be his code in everybody's tasks. An access list's rights end with the group's.
	find "$rootfs" -xdev ! -type l -perm /022 ! -path "$rootfs/tmp" ! -path "$rootfs/var/tmp" \
		-exec chmod go-w {} +
	find "$rootfs" -xdev -newermt "@$epoch" -exec touch -h -d "@$epoch" {} +
	for d in proc sys dev tmp run work usr etc; do
		if [ ! -d "$rootfs/$d" ] || [ -L "$rootfs/$d" ]; then
			die "$name: /$d is not a directory"
		fi
	done
}
