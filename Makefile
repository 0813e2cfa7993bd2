# Hydrant's build. `make help` lists the targets.
#
#   MODE=release|debug|asan|tsan   what to build for; objects go to build/$(MODE)/
#   CFLAGS CXXFLAGS CPPFLAGS LDFLAGS   yours, added after ours
#   WERROR=1 (or CI set)           warnings are errors
#   V=1                            show the commands
#   DESTDIR, PREFIX, SYSCONFDIR    where `make install` puts things
#
# Nothing outside a recipe may need a tool that a bare machine lacks: `make run` and `make check`
# install what is missing first and only then start the build, in a make of its own.

VERSION   := $(shell sed -n 's/^.define HYDRANT_VERSION "\(.*\)"/\1/p' agent/base/version.h)
SOVERSION := $(shell sed -n 's/^.define SHMC_VERSION "\(.*\)"/\1/p' include/shm_client.h)

MODE    ?= release
PREFIX  ?= /usr/local
SYSCONFDIR ?= /etc
B       := build/$(MODE)

FUZZ_SECONDS ?= 20

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# One job per processor unless the caller chose (MAKEFLAGS shows -j only inside recipes of old
# makes, so only the outermost make decides and the others inherit).
ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif

# ---------------------------------------------------------------------------- compilers and flags

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR         ?= ar
PKG_CONFIG ?= pkg-config

AGENT_PKGS := liburing libcurl libssl libcrypto inih libmicrohttpd jansson simdjson libisal zlib \
              libzstd liblz4 snappy expat

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wvla
ifneq ($(strip $(CI)$(filter 1,$(WERROR))),)
WARNINGS += -Werror
endif

ifeq ($(MODE),release)
MODE_FLAGS := -O2 -g -fstack-protector-strong
MODE_DEFS  := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(MODE),debug)
MODE_FLAGS := -O0 -g3
else ifeq ($(MODE),asan)
MODE_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=all
GCC_FLAGS  := -Wno-maybe-uninitialized
else ifeq ($(MODE),tsan)
# gcc warns of every atomic_thread_fence here: TSan does not model fences. Those in this code order
# a store before a load (sleep against wake-up); no data is handed over by a fence alone.
MODE_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
GCC_FLAGS  := -Wno-tsan -Wno-maybe-uninitialized
else ifeq ($(MODE),fuzz)
CC         := clang
CXX        := clang++
MODE_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=all
else
$(error MODE=$(MODE) is not one of release, debug, asan, tsan)
endif

# Instrumented code hides from gcc what it knows in release: that mode judges what is uninitialised.
ifeq ($(findstring clang,$(CC)),)
WARNINGS += $(GCC_FLAGS)
endif

# _GNU_SOURCE is defined empty, as a source's own "#define _GNU_SOURCE" would, so both may stand.
INCLUDES  := -I. -Iinclude -Iagent -Ilibshm-client -Itests
ALL_DEFS   = $(MODE_DEFS) $(INCLUDES) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE= -pthread $(WARNINGS) -Wmissing-prototypes \
             $(MODE_FLAGS) $(ALL_DEFS) $(CFLAGS)
ALL_CXXFLAGS = -std=c++17 -pthread $(WARNINGS) $(MODE_FLAGS) $(ALL_DEFS) $(CXXFLAGS)
ALL_LDFLAGS  = -pthread $(MODE_FLAGS) -Wl,--as-needed -Wl,-z,relro -Wl,-z,now $(LDFLAGS)

# Asked of pkg-config at first use, once in a make: the first expansion replaces the variable.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(call pkg,--cflags))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(call pkg,--libs))$(PKG_LIBS)
pkg = $(if $(filter ok,$(shell $(PKG_CONFIG) --exists $(AGENT_PKGS) && echo ok)),$(shell \
  $(PKG_CONFIG) $1 $(AGENT_PKGS)),$(error libraries are missing, 'make deps' installs them))

# -------------------------------------------------------------------------------------- sources

LIB_SRC   := $(wildcard libshm-client/*.c)
LIB_MAP   := $(wildcard libshm-client/*.map)
AGENT_C   := $(filter-out agent/main.c,$(wildcard agent/*.c agent/*/*.c))
AGENT_CC  := $(wildcard agent/*/*.cc)
MAIN_SRC  := $(wildcard agent/main.c)

# In tests/: NAME_test.c (or .cc) is a test program, NAME_fuzz.c a fuzz target, a .c file in e2e/ and any
# NAME_tool.c a program for the tests in Python; every other .c file is support, linked where it is
# used.
TEST_SRC    := $(wildcard tests/*/*_test.c)
TEST_CC     := $(wildcard tests/*/*_test.cc)
FUZZ_SRC    := $(wildcard tests/*/*_fuzz.c)
E2E_SRC     := $(filter-out $(TEST_SRC),$(wildcard tests/e2e/*.c tests/*/*_tool.c))
SUPPORT_SRC := $(filter-out $(TEST_SRC) $(FUZZ_SRC) $(E2E_SRC),$(wildcard tests/*/*.c))
CLOUDS_PY   := tests/e2e/test_s3_clouds.py
E2E_PY      := $(filter-out $(CLOUDS_PY),$(wildcard tests/e2e/*.py tests/sink/test_*.py))
SUPPORT_PY  := $(wildcard tests/aws/test_*.py tests/benchmarks/test_*.py)
PACKAGING_PY := $(wildcard tests/packaging/test_*.py)

# Disks that fail and fill are slow, and take no path of the agent's own that the simulated ones,
# which are sanitized, do not. Nor does a browser, beside what tests/control does.
SANITIZED_PY := $(filter-out $(addprefix tests/e2e/test_,full_disk.py failing_disk.py pages.py), \
                  $(E2E_PY))

# Real crashes on real file systems: short in `make check`, long in `make torture`.
TORTURE_PY  := $(addprefix tests/e2e/test_,crash.py formats_crash.py failing_disk.py full_disk.py \
                 sink_away.py large_log.py)

# These run on simulated I/O: tests/support stands in for agent/io, but for file_mkdirs.c, which is
# made of other calls of file.h alone, and for agent/sink/http_pool.c.
SIM_SRC := $(if $(TEST_SRC)$(FUZZ_SRC),\
  $(shell grep -ls '^\#include "support/sim.h"' $(TEST_SRC) $(FUZZ_SRC)))

# The client for Python, linked with the library, and its tests.
PYTHON     ?= /usr/bin/python3
PY_C       := $(wildcard libshm-client/python/src/*.c)
PY_PY      := $(wildcard libshm-client/python/hydrant/*.py)
PY_TESTS   := $(wildcard tests/python/test_*.py)
# Under the sanitizers: the run time has to be there before Python, which itself leaks at its end.
PY_ASAN     = PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
              LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so)
PY_SANITIZED := $(addprefix tests/python/test_,client.py records.py logging.py)
PY_HEADERS  = $(eval PY_HEADERS := $$(shell $(PYTHON) -c \
  'import sysconfig; print(sysconfig.get_path("include"))'))$(PY_HEADERS)

# Transports are for `make bench-peers` alone: they need the libraries of what they compare.
TRANSPORTS_SRC    := $(wildcard benchmarks/transports/*.c)
BENCH_SRC         := $(filter-out $(TRANSPORTS_SRC), \
                       $(wildcard benchmarks/*_bench.c benchmarks/*/*_bench.c))
BENCH_TOOL_SRC    := $(wildcard benchmarks/*_tool.c)
BENCH_SUPPORT_SRC := $(filter-out $(BENCH_SRC) $(BENCH_TOOL_SRC) $(TRANSPORTS_SRC), \
                       $(wildcard benchmarks/*.c benchmarks/*/*.c))
BENCH_SUPPORT_CC  := $(wildcard benchmarks/*.cc)

LIB_OBJ      := $(LIB_SRC:%.c=$(B)/%.o)
AGENT_OBJ    := $(AGENT_C:%.c=$(B)/%.o) $(AGENT_CC:%.cc=$(B)/%.o)
AGENT_NOIO   := $(filter-out $(B)/agent/io/% $(B)/agent/sink/http_pool.o,$(AGENT_OBJ)) \
                $(B)/agent/io/file_mkdirs.o
MAIN_OBJ     := $(MAIN_SRC:%.c=$(B)/%.o)
SUPPORT_OBJ  := $(SUPPORT_SRC:%.c=$(B)/%.o)
BENCH_SUPPORT_OBJ := $(BENCH_SUPPORT_SRC:%.c=$(B)/%.o) $(BENCH_SUPPORT_CC:%.cc=$(B)/%.o)

PY_OBJ       := $(PY_C:%.c=$(B)/%.o)
PY_PACKAGE   := $(PY_PY:libshm-client/python/%=$(B)/python/%) $(B)/python/hydrant/_hydrant.abi3.so

TEST_BIN  := $(TEST_SRC:%.c=$(B)/%) $(TEST_CC:%.cc=$(B)/%)
FUZZ_BIN  := $(FUZZ_SRC:%.c=$(B)/%)
E2E_BIN   := $(E2E_SRC:%.c=$(B)/%)
BENCH_BIN := $(BENCH_SRC:%.c=$(B)/%) $(BENCH_TOOL_SRC:%.c=$(B)/%)

TRANSPORTS_CC  := $(wildcard benchmarks/transports/*.cc)
TRANSPORTS_OBJ := $(TRANSPORTS_SRC:%.c=$(B)/%.o) $(TRANSPORTS_CC:%.cc=$(B)/%.o)
TRANSPORTS_BIN := $(addprefix $(B)/benchmarks/transports/,transports_bench lttng_producer)
SIM_BIN   := $(SIM_SRC:%.c=$(B)/%)

# The tests in which threads share memory: what TSan is for. Its run time hangs when it is stepped
# through, as nested_test and leftover_test do; hostile_test has one thread and takes its time.
THREAD_TEST_SRC := $(filter-out tests/libshm-client/nested_test.c tests/ring/leftover_test.c \
                     tests/ring/hostile_test.c, \
                     $(filter tests/libshm-client/% tests/ring/%,$(TEST_SRC))) \
                   $(wildcard tests/base/pool_test.c tests/base/counters_test.c \
                   tests/base/log_test.c tests/io/worker_test.c tests/pipeline/pack_worker_test.c \
                   tests/pipeline/shards_thread_test.c \
                   tests/intake/intake_test.c tests/intake/relay_listener_test.c \
                   tests/sink/delivery_thread_test.c tests/sink/relay_test.c)

# -------------------------------------------------------------------------------------- programs

LIBRARY := $(if $(LIB_SRC),$(B)/libshm-client.a $(B)/libshm-client.so)
PROGRAM := $(if $(MAIN_SRC),$(B)/hydrant)

.PHONY: all deps run check check-full check-built torture simulate mutants lint tests thread-tests \
        fuzzers fuzz bench bench-peers benchmarks benchmarks-peers python install uninstall \
        check-install abi deb clean help FORCE

ifeq ($(MODE),release)
all: $(PROGRAM:$(B)/%=build/%) $(LIBRARY:$(B)/%=build/%)
build/hydrant build/libshm-client.a build/libshm-client.so.1: build/%: $(B)/%
	@ln -f $< $@
build/libshm-client.so: build/libshm-client.so.1
	@ln -sf libshm-client.so.1 $@
else
all: $(PROGRAM) $(LIBRARY)
endif

# A stamp that is new when the flags are: every object depends on it.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$FLAGS" | cmp -s - $@ || printf '%s\n' "$$FLAGS" > $@
$(B)/flags: export FLAGS = $(CC) $(ALL_CFLAGS) $(CXX) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) $(PKG_CFLAGS)

# A line for each step; V=1 shows the whole command instead.
say = $(if $(V),,@printf '  %-4s%s\n' '$1' '$@' &&)

# Loops over bytes, cells and columns: worth the room that unrolled and inlined ones take.
ifeq ($(MODE),release)
$(filter $(B)/agent/encode/%,$(AGENT_OBJ)): MODE_FLAGS += -O3
endif

$(LIB_OBJ): OBJ_FLAGS := -fPIC -fvisibility=hidden
OBJ_FLAGS = $(PKG_CFLAGS)

# It has the pages in it (.incbin), which no compiler says.
$(B)/agent/control/http_static.o: $(wildcard agent/control/web/*)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,cc) $(CC) $(ALL_CFLAGS) $(OBJ_FLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: %.cc $(B)/flags
	@mkdir -p $(@D)
	$(call say,c++) $(CXX) $(ALL_CXXFLAGS) $(OBJ_FLAGS) -MMD -MP -c -o $@ $<

# Quick append, into a fresh file: objects of two folders may have one name.
ARCHIVE = $(call say,ar) rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

$(B)/libshm-client.a: $(LIB_OBJ) $(B)/flags
	$(ARCHIVE)
$(B)/libagent.a: $(AGENT_OBJ) $(B)/flags
	$(ARCHIVE)
$(B)/libagent-noio.a: $(AGENT_NOIO) $(B)/flags
	$(ARCHIVE)
$(B)/libsupport.a: $(SUPPORT_OBJ) $(B)/flags
	$(ARCHIVE)
$(B)/libbench.a: $(BENCH_SUPPORT_OBJ) $(B)/flags
	$(ARCHIVE)

# The library is complete in itself; under a sanitizer the program brings the run time.
ifneq ($(filter release debug,$(MODE)),)
SO_COMPLETE := -Wl,-z,defs
endif
$(B)/libshm-client.so.1: $(LIB_OBJ) $(LIB_MAP) $(B)/flags
	$(call say,ld) $(CC) -shared $(ALL_LDFLAGS) -Wl,-soname,libshm-client.so.1 $(SO_COMPLETE) \
	  $(LIB_MAP:%=-Wl,--version-script=%) -o $@ $(LIB_OBJ)
$(B)/libshm-client.so: $(B)/libshm-client.so.1
	@ln -sf libshm-client.so.1 $@

# What `pip install libshm-client/python` makes by itself, for the tests.
$(PY_OBJ): OBJ_FLAGS = -fPIC -fvisibility=hidden -isystem $(PY_HEADERS)
$(B)/python/hydrant/_hydrant.abi3.so: $(PY_OBJ) $(B)/libshm-client.a $(B)/flags
	@mkdir -p $(@D)
	$(call say,ld) $(CC) -shared $(ALL_LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $(filter %.o %.a,$^)
$(B)/python/%.py: libshm-client/python/%.py
	@mkdir -p $(@D)
	@cp $< $@
python: $(PY_PACKAGE)

# Linked as C++ because the JSON parser is.
LINK = $(call say,ld) $(CXX) $(ALL_LDFLAGS) $(LINK_FLAGS) -o $@ $(filter %.o,$^) \
       -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LINK_LIBS) $(PKG_LIBS)

$(B)/hydrant: $(MAIN_OBJ) $(B)/libagent.a $(B)/libshm-client.a
	$(LINK)

# The first archive that defines a function wins. So simulated tests name support before the agent,
# all others after it.
REAL_IO := $(B)/libagent.a $(B)/libshm-client.a $(B)/libsupport.a
SIM_IO  := $(B)/libsupport.a $(B)/libagent-noio.a $(B)/libshm-client.a

$(TEST_BIN): LINK_LIBS := -lcmocka
$(FUZZ_BIN): LINK_FLAGS := -fsanitize=fuzzer

$(filter-out $(SIM_BIN),$(TEST_BIN) $(FUZZ_BIN)) $(E2E_BIN): $(B)/%: $(B)/%.o $(REAL_IO)
	$(LINK)
$(SIM_BIN): $(B)/%: $(B)/%.o $(SIM_IO)
	$(LINK)
$(addprefix $(B)/benchmarks/sink/,upload_bench drain_bench): LINK_LIBS := -lssl
$(BENCH_BIN): $(B)/%: $(B)/%.o $(B)/libbench.a $(B)/libagent.a $(B)/libshm-client.a
	$(LINK)

$(B)/benchmarks/transports/transports_bench: LINK_LIBS := -lzmq -lnng -llttng-ctl
$(B)/benchmarks/transports/transports_bench: $(filter-out %/lttng_producer.o,$(TRANSPORTS_OBJ)) \
  $(B)/libbench.a $(B)/libagent.a $(B)/libshm-client.a
	$(LINK)
$(B)/benchmarks/transports/lttng_producer: LINK_LIBS := -llttng-ust -ldl
$(B)/benchmarks/transports/lttng_producer: $(B)/benchmarks/transports/lttng_producer.o \
  $(B)/libagent.a
	$(LINK)

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d $(B)/*/*/*/*.d)

# ------------------------------------------------------------------------------ what people call

deps:
	@etc/deps build run check
	@tests/node/install

run:
	@etc/deps build run
	@$(MAKE) --no-print-directory MODE=release all
	@etc/demo

lint:
	@CC='$(CC)' tests/lint

tests: $(TEST_BIN) $(E2E_BIN)
thread-tests: $(THREAD_TEST_SRC:%.c=$(B)/%)
fuzzers: $(FUZZ_BIN)
benchmarks: $(BENCH_BIN)
benchmarks-peers: $(TRANSPORTS_BIN)

check:
	@etc/deps build run check
	@tests/node/install
	@$(MAKE) --no-print-directory check-built

check-full:
	@etc/deps build run check
	@etc/deps -q check-full
	@tests/node/install
	@HYDRANT_LONG=1 $(MAKE) --no-print-directory check-built

# HYDRANT_SHORT=1 asks the end-to-end tests for their small sizes: once at full size on the release
# build is enough, the second run is for what the sanitizers see.
check-built:
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory MODE=release all tests python build/man/.made
	@$(MAKE) --no-print-directory MODE=asan all tests python
	@$(MAKE) --no-print-directory MODE=tsan thread-tests
	@$(MAKE) --no-print-directory MODE=fuzz fuzzers
	@tests/run $(TEST_SRC:%.c=build/release/%) $(TEST_SRC:%.c=build/asan/%) \
	  $(TEST_CC:%.cc=build/release/%) $(TEST_CC:%.cc=build/asan/%) \
	  $(THREAD_TEST_SRC:%.c=build/tsan/%) $(FUZZ_SRC:%.c=build/fuzz/%) $(SUPPORT_PY) $(PACKAGING_PY) \
	  HYDRANT_BIN=build/release/hydrant $(E2E_PY) $(if $(filter 1,$(HYDRANT_LONG)),$(CLOUDS_PY)) \
	  $(PY_TESTS) HYDRANT_BIN=build/asan/hydrant HYDRANT_SHORT=1 $(SANITIZED_PY) \
	  $(PY_ASAN) $(PY_SANITIZED)

# With CI=true what this host does not let them do is a failure, not skipped.
torture:
	@etc/deps build run check
	@$(MAKE) --no-print-directory MODE=release all tests
	@CI=true HYDRANT_LONG=1 tests/run HYDRANT_BIN=build/release/hydrant $(TORTURE_PY)

fuzz:
	@$(MAKE) --no-print-directory MODE=fuzz fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run $(FUZZ_SRC:%.c=build/fuzz/%)

# SEEDS of the whole agent simulated, from SEED on; KEEP_GOING=1, VERBOSE=1.
SEED  ?= 1
SEEDS ?= 1000
simulate:
	@$(MAKE) --no-print-directory $(B)/tests/simulate/simulate_test
	@$(B)/tests/simulate/simulate_test --seed $(SEED) --seeds $(SEEDS) \
	  $(if $(KEEP_GOING),--keep-going) $(if $(VERBOSE),--verbose)

# Faults built into copies of the agent, which the simulation must catch (tests/mutants/faults).
mutants:
	@$(MAKE) --no-print-directory MODE=release build/release/tests/simulate/simulate_test
	@tests/mutants/run $(MUTANTS)

bench:
	@etc/deps build bench
	@$(MAKE) --no-print-directory MODE=release all benchmarks python
	@set -e; for bench in $(BENCH_SRC:%.c=build/release/%); do $$bench; done
	@benchmarks/sockets
	@benchmarks/http
	@benchmarks/python

# Beside others: system loggers, transports, DuckDB, fio. -q: their services stay as they are.
bench-peers:
	@etc/deps -q build bench bench-peers
	@tests/node/install
	@$(MAKE) --no-print-directory MODE=release all benchmarks benchmarks-peers
	@benchmarks/peers

# ------------------------------------------------------------------------------------ installing

RELEASED   := November 22, 2026

BINDIR     := $(DESTDIR)$(PREFIX)/bin
LIBDIR     := $(PREFIX)/lib
INCLUDEDIR := $(DESTDIR)$(PREFIX)/include
DATADIR    := $(DESTDIR)$(PREFIX)/share
MANDIR     := $(DATADIR)/man
DOCDIR     := $(DATADIR)/doc/hydrant
SYSTEMDIR  := $(DESTDIR)$(PREFIX)/lib
CONFDIR    := $(DESTDIR)$(SYSCONFDIR)/hydrant
LIBTO      := $(DESTDIR)$(LIBDIR)

HEADERS    := $(wildcard include/*.h include/*.hpp)
DOC_FILES  := README.md LICENSE $(addprefix etc/,OPERATIONS.md metrics.txt alerts.yml \
              grafana-dashboard.json)

INSTALL_DATA = install -D -m 0644
FILLED = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' \
             -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' -e 's|@LIBVERSION@|$(SOVERSION)|g'

# Of the release build, whatever MODE is: the pages are what the program says of itself.
build/man/.made: build/release/hydrant include/shm_client.h etc/hydrant.ini $(wildcard etc/man/*)
	@etc/man/pages $< $(@D) '$(RELEASED)'
	@touch $@

# A configuration that is there stays: it is the user's.
install: all build/man/.made
	install -D -m 0755 build/hydrant $(BINDIR)/hydrant
	install -D -m 0755 build/libshm-client.so.1 $(LIBTO)/libshm-client.so.$(SOVERSION)
	ln -sf libshm-client.so.$(SOVERSION) $(LIBTO)/libshm-client.so.1
	ln -sf libshm-client.so.1 $(LIBTO)/libshm-client.so
	$(INSTALL_DATA) build/libshm-client.a $(LIBTO)/libshm-client.a
	$(INSTALL_DATA) -t $(INCLUDEDIR) $(HEADERS)
	install -d $(LIBTO)/pkgconfig $(CONFDIR) $(SYSTEMDIR)/systemd/system $(MANDIR)/man3
	$(FILLED) etc/shm-client.pc.in > $(LIBTO)/pkgconfig/shm-client.pc
	$(FILLED) etc/systemd/hydrant.service.in > $(SYSTEMDIR)/systemd/system/hydrant.service
	$(INSTALL_DATA) etc/systemd/hydrant.sysusers $(SYSTEMDIR)/sysusers.d/hydrant.conf
	$(INSTALL_DATA) etc/systemd/hydrant.tmpfiles $(SYSTEMDIR)/tmpfiles.d/hydrant.conf
	$(INSTALL_DATA) etc/completion/hydrant.bash $(DATADIR)/bash-completion/completions/hydrant
	$(INSTALL_DATA) -t $(MANDIR)/man1 build/man/*.1
	$(INSTALL_DATA) -t $(MANDIR)/man5 build/man/*.5
	cp -P build/man/*.3 $(MANDIR)/man3
	$(INSTALL_DATA) -t $(DOCDIR) $(DOC_FILES)
	[ -e $(CONFDIR)/hydrant.ini ] || etc/system-ini > $(CONFDIR)/hydrant.ini
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" -eq 0 ]; then ldconfig; fi

# The configuration stays.
uninstall:
	rm -f $(BINDIR)/hydrant $(LIBTO)/libshm-client.so.$(SOVERSION) $(LIBTO)/libshm-client.so.1 \
	  $(LIBTO)/libshm-client.so $(LIBTO)/libshm-client.a $(LIBTO)/pkgconfig/shm-client.pc \
	  $(HEADERS:include/%=$(INCLUDEDIR)/%) $(addprefix $(DOCDIR)/,$(notdir $(DOC_FILES))) \
	  $(SYSTEMDIR)/systemd/system/hydrant.service $(SYSTEMDIR)/sysusers.d/hydrant.conf \
	  $(SYSTEMDIR)/tmpfiles.d/hydrant.conf $(DATADIR)/bash-completion/completions/hydrant \
	  $(MANDIR)/man1/hydrant.1 $(MANDIR)/man1/hydrant-*.1 $(MANDIR)/man3/shm_client.3 \
	  $(MANDIR)/man3/shmc_*.3 $(MANDIR)/man5/hydrant.ini.5
	-rmdir $(DOCDIR)

# Into a scratch root: what is there, what compiles against it, what systemd says of the unit.
check-install:
	@$(MAKE) --no-print-directory MODE=release all build/man/.made
	@tests/run $(PACKAGING_PY)

# The symbols and the layout of the library, which check-install compares with this file.
abi:
	@$(MAKE) --no-print-directory MODE=release all
	@etc/abi/dump build/libshm-client.so.1 > etc/abi/libshm-client.abi

deb:
	@etc/deps build package
	@etc/debian/build '$(VERSION)'

clean:
	rm -rf build

help:
	@echo 'make             build/hydrant, build/libshm-client.so and .a'
	@echo 'make deps        install the Debian packages that are missing (list: etc/packages)'
	@echo 'make run         deps, build, then the agent at work on real data (etc/demo)'
	@echo 'make python      build/release/python: the client for Python, as its tests use it'
	@echo 'make check       deps, lint, all tests, under sanitizers too, fuzz corpora'
	@echo 'make check-full  the same with the long loops, and S3 against Ceph and Swift'
	@echo 'make torture     kills, failing and full disks for an hour; root, for loop mounts'
	@echo 'make lint        layers, headers, banned functions, layout of the source'
	@echo 'make fuzz        every fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make simulate    the whole agent on a simulated host: SEEDS=$(SEEDS) SEED=$(SEED) KEEP_GOING=1'
	@echo 'make mutants     deliberate faults, each of which the simulation must find: MUTANTS="NAME ..."'
	@echo 'make bench       every benchmark, in order'
	@echo 'make bench-peers other transports, agents, encoders beside ours: benchmarks/results'
	@echo 'make check-install  what make install would install, against the README and systemd'
	@echo 'make abi         renews etc/abi, on purpose, when the library has changed'
	@echo 'make deb         Debian packages of HEAD, in build/deb'
	@echo 'make install     below DESTDIR and PREFIX ($(PREFIX)); make uninstall takes it away'
	@echo 'make clean       remove build/'
	@echo
	@echo 'MODE=release|debug|asan|tsan, objects in build/MODE/; WERROR=1; CFLAGS, LDFLAGS, ...'
