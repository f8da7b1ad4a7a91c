#!/usr/bin/env bats
# bats file_tags=v2-all
# The main job: a numpy task in the iron image, cold and out of a checkpoint.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	has_image iron || fail "no image iron in $IMAGES"
	WARM=1 daemon_make iron
}

setup() {
	paths
}

@test "the example solves its system, out of the checkpoint" {
	run --separate-stderr sandboxctl run iron "$TOP/images/iron/example/task.json" --label main
	echo "$output $stderr"
	[ "$status" = 0 ]
	[ "${lines[0]%%, error*}" = "unknowns 200, largest value 0.124997" ]
	[[ ${lines[1]} == python*numpy* ]]
	[ -z "$stderr" ]
	[[ $(inspect "$(id_of main)" .start.mode) =~ ^(restore|fork)$ ]]
}

@test "a cold start prints the same" {
	warm=$(sandboxctl run iron "$TOP/images/iron/example/task.json")
	cold=$(sandboxctl run iron "$TOP/images/iron/example/task.json" --start cold --label cold)
	[ "$warm" = "$cold" ]
	[ "$(inspect "$(id_of cold)" .start.mode)" = cold ]
}

@test "every module of the image works in each mode" {
	cat >"$BATS_TEST_TMPDIR/all.py" <<-'EOT'
		import io
		import gevent
		import lxml.etree
		import numpy
		import scipy.linalg
		from bson import ObjectId
		from PIL import Image
		print(float(numpy.linalg.norm([3.0, 4.0])))
		print(scipy.linalg.det([[2.0, 0.0], [0.0, 3.0]]))
		print(lxml.etree.fromstring("<a><b>x</b></a>").findtext("b"))
		print(len(str(ObjectId())))
		print(gevent.spawn(lambda: "green").get())
		out = io.BytesIO()
		Image.new("RGB", (8, 8)).save(out, "PNG")
		print(out.getvalue()[1:4].decode())
	EOT
	echo '{"exec": "all.py"}' >"$BATS_TEST_TMPDIR/task.json"
	for mode in $MODES; do
		run --separate-stderr sandboxctl run iron "$BATS_TEST_TMPDIR/task.json" --start "$mode"
		echo "$mode: $output $stderr"
		[ "$status" = 0 ]
		[ "$output" = $'5.0\n6.0\nx\n24\ngreen\nPNG' ]
	done
}
