# SPDX-License-Identifier: Apache-2.0
#
# make              build everything into build/
# make help         what else there is

PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
VERSION := $(shell cat VERSION)

PKGS := jansson libseccomp libcap libnl-3.0 libnl-route-3.0 libsystemd sqlite3 libcrypto libarchive libzip zlib libmicrohttpd
CC := gcc
OPT ?= -O2 -g
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wformat=2 -Wvla -Wundef -Wno-missing-field-initializers
HARDEN ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CPPFLAGS += -I. -D_GNU_SOURCE -DSANDBOXD_VERSION='"$(VERSION)"' -DSANDBOXD_PREFIX='"$(PREFIX)"' \
	$(shell pkg-config --cflags $(PKGS))
CFLAGS += -std=gnu11 $(OPT) $(WARN) $(HARDEN) $(SANITIZE)
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZE)
LDLIBS := $(shell pkg-config --libs $(PKGS))

# Rooms: each folder is an archive. It may call what is in the rooms that its line names and nothing
# else: any other call does not link (`make rooms` tries each room by itself).
ROOMS := lib spec wire kv sandbox supervisor/monitor supervisor/logger \
	supervisor/front/base supervisor/front/edge supervisor/front/store supervisor/front/core supervisor/front/run supervisor/front/serve \
	supervisor/front/api supervisor/front/web supervisor/front/service supervisor/front/background supervisor/front supervisor/ctl
needs/lib :=
needs/spec := lib
needs/wire := lib
needs/kv := lib
needs/sandbox := lib
needs/supervisor/monitor := sandbox wire lib
needs/supervisor/logger := wire lib
needs/supervisor/front/base := lib
needs/supervisor/front/edge := supervisor/front/base lib
needs/supervisor/front/store := supervisor/front/base kv wire lib
needs/supervisor/front/core := supervisor/front/store supervisor/front/base kv spec wire lib
needs/supervisor/front/run := supervisor/front/core $(needs/supervisor/front/core)
needs/supervisor/front/serve := supervisor/front/run $(needs/supervisor/front/run)
needs/supervisor/front/api := supervisor/front/serve $(needs/supervisor/front/serve)
needs/supervisor/front/web := supervisor/front/edge supervisor/front/api $(needs/supervisor/front/api)
needs/supervisor/front/service := supervisor/front/web $(needs/supervisor/front/web)
needs/supervisor/front/background := supervisor/front/service $(needs/supervisor/front/service)
needs/supervisor/front := supervisor/front/background $(needs/supervisor/front/background)
# The room sandbox is for `image confine`, which builds images, also without a daemon.
needs/supervisor/ctl := spec wire kv sandbox lib

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
# The files of a room, without main.c and exec.c, which make a program of the room.
src = $(filter-out %/main.c %/exec.c $(patsubst %,%/%,$(filter $(1)/%,$(ROOMS))),$(wildcard $(1)/*.c $(1)/*/*.c))
archives = $(patsubst %,$(BUILD)/%.a,$(1) $(needs/$(1)))
# The verbs of sandboxctl that need big libraries; supervisor/ctl/exec.c tells why.
CTL_FULL_SRC := $(wildcard supervisor/ctl/image*.c supervisor/ctl/policy*.c \
	supervisor/ctl/tenant*.c supervisor/ctl/upload*.c supervisor/ctl/http*.c supervisor/ctl/pip_index.c \
	supervisor/ctl/deploy*.c supervisor/ctl/push.c supervisor/ctl/serve/*.c supervisor/ctl/dev/*.c)
CTL_SRC := supervisor/ctl/main.c $(call src,supervisor/ctl)
DAEMONS := sandboxd sandboxd-front sandboxd-logger

UNIT_SRC := $(wildcard tests/unit/*/*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
FUZZ_SECONDS ?= 60

.PHONY: all clean install uninstall check fuzz lint format bench bench-programs help asan
all: $(addprefix $(BUILD)/,$(DAEMONS)) $(BUILD)/sandboxctl $(BUILD)/sandboxctl-full \
	$(BUILD)/runtime/park.so $(BUILD)/runtime/watch.so

help:
	@echo 'make                build the daemon, sandboxctl and the runtime into $(BUILD)/'
	@echo 'make install        install under PREFIX=$(PREFIX) (DESTDIR is honoured)'
	@echo 'make uninstall      remove what install has put there; state and images stay'
	@echo 'make check          unit tests (cmocka)'
	@echo 'make asan           the same programs with ASan and UBSan, into build-asan/'
	@echo 'make fuzz           every fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) each (clang)'
	@echo 'make rooms          each room linked with what it needs and nothing else'
	@echo 'make lint           that, the documents, clang-format, clang-tidy, shellcheck: clean or fail'
	@echo 'make format         let clang-format rewrite the sources'
	@echo 'make bench          start latencies beside chroot, bwrap and runc, as one table'
	@echo 'make clean          remove the build folders'
	@echo 'scripts/quickstart  everything on a fresh machine; scripts/test: every test'
	@echo 'tests/fresh/run     every test in a Debian root that is made for it'

# Programs link archives, so that each has only what it calls, maps few libraries and starts fast.
define room
$(BUILD)/$(1).a: $(call obj,$(call src,$(1)))
	rm -f $$@ && $(AR) rc $$@ $$^
$(BUILD)/rooms/$(subst /,-,$(1)): $(BUILD)/tests/rooms/nothing.o $(call archives,$(1))
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$< -Wl,--whole-archive $(BUILD)/$(1).a -Wl,--no-whole-archive \
		$(patsubst %,$(BUILD)/%.a,$(needs/$(1))) $(LDLIBS) $$(libs/$(1))
endef
libs/supervisor/ctl = $(shell pkg-config --libs libcurl)
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))
.PHONY: rooms
rooms: $(addprefix $(BUILD)/rooms/,$(subst /,-,$(ROOMS)))
	tests/rooms/run $(BUILD) $(foreach r,$(ROOMS),'$(r) $(needs/$(r))')

program = $(BUILD)/$(1)/main.o $(call archives,$(1))
$(BUILD)/sandboxd: $(call program,supervisor/monitor)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/sandboxd-front: $(call program,supervisor/front)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/sandboxd-logger: $(call program,supervisor/logger)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
CTL_LIBS := $(patsubst %,$(BUILD)/%.a,$(needs/supervisor/ctl))
$(BUILD)/sandboxctl: $(call obj,$(filter-out $(CTL_FULL_SRC),$(CTL_SRC)) supervisor/ctl/exec.c) $(CTL_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/sandboxctl-full: $(call obj,$(CTL_SRC)) $(CTL_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(shell pkg-config --libs libcurl)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# An object depends on a file that it includes by .incbin.
$(BUILD)/supervisor/front/api/openapi.o: supervisor/front/api/openapi.json
$(BUILD)/fuzz/obj/supervisor/front/api/openapi.o: supervisor/front/api/openapi.json

# Freestanding: this code is copied into processes that are not trusted and have nothing else of
# this program. No sanitizer can be in it, and no vector registers, which hold values of the
# process.
$(BUILD)/sandbox/fork/inject_code.o: CFLAGS := -std=gnu11 -O2 -g $(WARN) -fPIC -ffreestanding \
	-fno-builtin -fno-stack-protector -fcf-protection=none -fno-jump-tables \
	-fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -mgeneral-regs-only

# Freestanding: whatever Python and libc an image has load it, and it must not call them while it
# replaces their memory.
$(BUILD)/runtime/%.so: images/runtime/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -nostdlib -ffreestanding \
		-fno-stack-protector -fcf-protection=none -fno-builtin -Wl,-z,noexecstack \
		-Wl,--hash-style=both -Wl,--build-id=none -o $@ $<

# A room's tests link the room and what it needs.
define unit
$(BUILD)/unit/$(notdir $(1))/%: $(BUILD)/tests/unit/$(notdir $(1))/%.o $(call archives,$(1))
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS) $$(libs/$(1)) -lcmocka
endef
$(foreach r,$(ROOMS),$(eval $(call unit,$(r))))
check: $(UNIT_BIN)
	@status=0; for t in $(UNIT_BIN); do echo "== $$t"; $$t || status=1; done; exit $$status

# Programs that take the place of a role in a test of tests/e2e, which has them built.
$(BUILD)/e2e/%: $(BUILD)/tests/e2e/%.o $(call archives,supervisor/front)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Fuzz targets are built by clang from the sources themselves, with ASan and UBSan.
FUZZ_LIB_SRC := $(foreach r,$(filter-out supervisor/ctl,$(ROOMS)),$(call src,$(r)))
$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=undefined -MMD -MP -c -o $@ $<
$(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(FUZZ_LIB_SRC))
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)
fuzz: $(FUZZ_BIN)
	@for t in $(FUZZ_BIN); do n=$$(basename $$t); echo "== $$n"; mkdir -p $(BUILD)/corpus/$$n; \
		$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
			-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/corpus/$$n \
			$$(ls -d tests/fuzz/seeds/$$n 2>/dev/null) >$(BUILD)/fuzz/$$n.log 2>&1 || \
			{ tail -n 40 $(BUILD)/fuzz/$$n.log; exit 1; }; \
		tail -n 1 $(BUILD)/fuzz/$$n.log; done

asan:
	$(MAKE) BUILD=build-asan OPT='-O1 -g -fno-omit-frame-pointer' HARDEN=-fPIE \
		SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' all

C_FILES := $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h' 2>/dev/null)
# One file for each run, because clang-tidy 14 confuses the va_lists of several.
LINT_CPPFLAGS := $(filter-out -DSANDBOXD_%,$(CPPFLAGS)) -DSANDBOXD_VERSION=\"$(VERSION)\" \
	-DSANDBOXD_PREFIX=\"$(PREFIX)\"
lint: rooms
	tests/docs/run
	clang-format --dry-run -Werror $(C_FILES)
	luacheck --std ngx_lua --max-line-length 100 --no-color -q supervisor/edge
	@printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P 2 -n 1 sh -c \
		'clang-tidy --quiet "$$@" -- -std=gnu11 $(LINT_CPPFLAGS) 2>$(BUILD)/tidy.$$$$ || { cat $(BUILD)/tidy.$$$$ >&2; exit 1; }; rm -f $(BUILD)/tidy.$$$$' sh
	{ git ls-files --cached --others --exclude-standard | grep -E '\.(sh|bash|bats)$$'; \
		git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lE '^#!.*\b(ba)?sh\b' --; } | \
		sort -u | xargs -P 2 -n 8 shellcheck -x
format:
	clang-format -i $(C_FILES)

# The program load asks the daemon by sandboxctl's own code.
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(call obj,supervisor/ctl/client.c supervisor/ctl/say.c) \
		$(CTL_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
bench-programs: $(BENCH_BIN)
bench: all bench-programs
	BUILD=$(BUILD) tests/bench/run

install: all
	install -D -m 755 $(BUILD)/sandboxd $(DESTDIR)$(PREFIX)/sbin/sandboxd
	install -D -m 755 $(BUILD)/sandboxctl $(DESTDIR)$(PREFIX)/bin/sandboxctl
	install -D -m 755 $(BUILD)/sandboxd-front $(DESTDIR)$(PREFIX)/libexec/sandboxd/sandboxd-front
	install -m 755 $(BUILD)/sandboxd-logger $(DESTDIR)$(PREFIX)/libexec/sandboxd/sandboxd-logger
	install -D -m 755 $(BUILD)/sandboxctl-full $(DESTDIR)$(PREFIX)/libexec/sandboxd/sandboxctl-full
	install -D -m 755 scripts/image-build $(DESTDIR)$(PREFIX)/libexec/sandboxd/image-build
	install -m 755 scripts/pip-build scripts/pip-index $(DESTDIR)$(PREFIX)/libexec/sandboxd/
	install -m 644 scripts/apt-lib.sh scripts/progress-lib.sh scripts/image-*-lib.sh \
		$(DESTDIR)$(PREFIX)/libexec/sandboxd/
	install -d $(DESTDIR)$(PREFIX)/share/sandboxd/runtime $(DESTDIR)$(PREFIX)/share/sandboxd/policies
	install -m 644 images/runtime/*.py $(BUILD)/runtime/*.so $(DESTDIR)$(PREFIX)/share/sandboxd/runtime/
	rm -rf $(DESTDIR)$(PREFIX)/share/sandboxd/runtime/http $(DESTDIR)$(PREFIX)/share/sandboxd/runtime/modules
	for file in $$(cd images/runtime && find http modules -name '*.py'); do \
		install -D -m 644 images/runtime/$$file $(DESTDIR)$(PREFIX)/share/sandboxd/runtime/$$file; done
	install -m 644 scripts/pip-build $(DESTDIR)$(PREFIX)/share/sandboxd/runtime/http/_sandboxd_deploy/pip_build.py
	install -m 644 policies/*.json $(DESTDIR)$(PREFIX)/share/sandboxd/policies/
	install -d $(DESTDIR)$(PREFIX)/share/sandboxd/edge
	install -m 644 supervisor/edge/*.lua supervisor/edge/types.conf $(DESTDIR)$(PREFIX)/share/sandboxd/edge/
	install -d $(DESTDIR)$(PREFIX)/share/sandboxd/dashboard
	if [ -d supervisor/dashboard ]; then \
		cp -r supervisor/dashboard/. $(DESTDIR)$(PREFIX)/share/sandboxd/dashboard/; fi
	for i in images/*/image.json; do \
		d=$(DESTDIR)$(PREFIX)/share/sandboxd/images/$$(basename $$(dirname $$i)); \
		mkdir -p $$d && cp -r $$(dirname $$i)/. $$d/; done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/,$(PREFIX)/,' scripts/sandboxd.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/sandboxd.service
	install -D -m 644 scripts/sysctl.conf $(DESTDIR)$(PREFIX)/lib/sysctl.d/50-sandboxd.conf

# What install puts into an empty folder says what to remove. Folders go when nothing else is in them.
uninstall:
	@set -e; stage=$$(mktemp -d); trap 'rm -rf "$$stage"' EXIT; \
	$(MAKE) -s install DESTDIR="$$stage" >/dev/null; \
	cd "$$stage"; \
	find . ! -type d | while IFS= read -r f; do rm -f "$(DESTDIR)/$$f"; done; \
	find . -depth -type d -path '*/sandboxd*' | while IFS= read -r d; do \
		[ ! -d "$(DESTDIR)/$$d" ] || rmdir --ignore-fail-on-non-empty "$(DESTDIR)/$$d"; done

clean:
	rm -rf build build-asan

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
