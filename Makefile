# Builds netwatch. `make` leaves ./netwatch; `make help` lists the rest.
# Every step runs only when something that it reads has changed, and as the owner of the checkout
# when root came by sudo, so that a later `make` without sudo still works.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory --silent
.DEFAULT_GOAL := all

CLANG ?= clang
LLVM_STRIP ?= llvm-strip
CLANG_FORMAT ?= clang-format
ARGS ?= -x -r -t -i -e

# --- surroundings ------------------------------------------------------------------------------------
# Where Node.js 20+ is (sudo drops a user's own PATH), and Ubuntu's bpftool, which is not in any PATH.
NODE_DIR := $(shell scripts/find-node)
NODE_NEW := $(filter-out $(patsubst %/node,%,$(shell command -v node)),$(NODE_DIR))
BPFTOOL_DIR := $(dir $(lastword $(wildcard /usr/lib/linux-tools/*/bpftool)))
export PATH := $(if $(BPFTOOL_DIR),$(BPFTOOL_DIR):)$(if $(NODE_NEW),$(NODE_NEW):)$(PATH)

# `$(OWNER) command` runs it as the invoking user if root came by sudo into that user's checkout.
OWNER :=
ifneq ($(filter-out 0,$(SUDO_UID)),)
ifeq ($(shell id -u):$(shell stat -c %u .),0:$(SUDO_UID))
OWNER := setpriv --reuid=$(SUDO_UID) --regid=$(SUDO_GID) --init-groups --no-new-privs env HOME=$(shell getent passwd $(SUDO_UID) | cut -d: -f6)
endif
endif

BIN := node_modules/.bin
NPM := $(OWNER) npm --silent
TS := node --import=./scripts/typescript.mjs
CACHE := .cache

# A script by its name, whatever it is written in.
script = $(or $(firstword $(wildcard scripts/$1.mjs scripts/$1.ts)),$(error there is no scripts/$1))
run-script = $(if $(filter %.ts,$(script)),$(TS),$(if $(filter %.mjs,$(script)),node)) $(script)

ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:.c=.o)
ARM64_OBJ := $(BPF_SRC:bpf/%.c=$(CACHE)/arm64/%.o)
C_FILES := $(BPF_SRC) $(wildcard bpf/include/*.h bpf/include/http/*.h bpf/include/insight/*.h bpf/include/vmlinux/vmlinux.h test/*/*.c test/*/*.h)
# Folders too: their time changes when a file goes away.
TS_SRC := $(shell find src -path src/page -prune -o -name '*.ts' -print -o -type d -print)
PAGE_SRC := $(shell find src/page)

.PHONY: all setup bpf bpf-arm64 generate contrib build docs install uninstall deb check fmt test test-unit test-faults test-vm run demo bench accuracy clean help
.PHONY: setup-test check-lint check-format check-c check-types check-generated

all: setup ## set up what is missing, compile, make ./netwatch
	@$(MAKE) bpf
	@$(MAKE) $(CACHE)/generated
	@$(MAKE) build netwatch

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: ## install missing system packages (needs root only if something is missing)
	@scripts/setup

setup-test:
	@scripts/setup --test

# --- packages, BPF objects, TypeScript ---------------------------------------------------------------
node_modules/.package-lock.json: package-lock.json
	@echo 'npm ci'
	@$(NPM) ci --ignore-scripts
	@$(OWNER) touch $@

# What may be thrown away, ignored by git without a line in .gitignore.
$(CACHE)/deps:
	@$(OWNER) mkdir -p $(CACHE)/deps $(CACHE)/arm64
	@echo '*' | $(OWNER) tee $(CACHE)/.gitignore >/dev/null

bpf: $(BPF_OBJ) ## compile bpf/*.bpf.c for this machine

BPF_FLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Werror -Ibpf/include -Ibpf/include/vmlinux
# -g makes clang emit BTF; llvm-strip then drops the debug data (DWARF) and leaves the BTF.
# compile ARCH,DEPENDENCY-FILE
compile = @echo 'clang $@'; \
	$(OWNER) $(CLANG) $(BPF_FLAGS) -D__TARGET_ARCH_$1 -MMD -MP -MT $@ -MF $2 -c $< -o $@ && $(OWNER) $(LLVM_STRIP) -g $@

bpf/%.bpf.o: bpf/%.bpf.c Makefile | $(CACHE)/deps
	$(call compile,$(ARCH),$(CACHE)/deps/$*.d)

bpf-arm64: $(ARM64_OBJ) ## compile the BPF objects for arm64 into .cache/arm64

$(CACHE)/arm64/%.bpf.o: bpf/%.bpf.c Makefile | $(CACHE)/deps
	$(call compile,arm64,$(CACHE)/deps/$*.arm64.d)

-include $(wildcard $(CACHE)/deps/*.d)

# src/generated follows the objects' BTF; the script writes a file only if its text changes.
$(CACHE)/generated: $(BPF_OBJ) $(wildcard scripts/generate*) node_modules/.package-lock.json | $(CACHE)/deps
	@$(OWNER) $(call run-script,generate)
	@$(OWNER) touch $@

generate: $(BPF_OBJ) node_modules/.package-lock.json ## write src/generated from the BPF objects
	@$(OWNER) $(call run-script,generate)
	@$(OWNER) touch $(CACHE)/generated

contrib: node_modules/.package-lock.json ## write contrib/grafana, contrib/prometheus and the tables in docs/ from families and faults
	@$(OWNER) $(call run-script,contrib) >/dev/null

build: build/.built build/page/.built ## compile TypeScript into build/

build/.built: $(TS_SRC) tsconfig.json node_modules/.package-lock.json
	@echo 'tsc build/'
	@$(OWNER) $(BIN)/tsc -p tsconfig.json
	@# Programs whose source is gone.
	@[ ! -d build ] || cd build && find . -path ./page -prune -o -name '*.js' -print | while read -r js; do \
		[ -e "../src/$${js%.js}.ts" ] || rm -f "$$js" "$$js.map"; done
	@$(OWNER) chmod 755 build/main.js build/tcp-insight.js
	@$(OWNER) touch $@

# The page, bundled with its chart library: nothing is fetched from elsewhere.
build/page/.built: $(PAGE_SRC) node_modules/.package-lock.json
	@echo 'esbuild build/page/'
	@$(OWNER) $(BIN)/esbuild src/page/main.ts src/page/page.css --bundle --minify --format=esm \
		--target=es2022 --legal-comments=inline --log-level=warning --entry-names=page --outdir=build/page
	@$(OWNER) cp src/page/index.html build/page/
	@$(OWNER) touch $@

netwatch: scripts/launcher Makefile
	@sed 's|@NODE@|$(NODE_DIR)/node|' $< | $(OWNER) tee $@ >/dev/null
	@$(OWNER) chmod 755 $@
	@echo './netwatch is made; try: sudo make run, or sudo ./netwatch --help'

# Man pages and completions, from the options themselves.
docs: build/share/.built ## write man pages and shell completions into build/share

build/share/.built: $(TS_SRC) $(wildcard scripts/docs.ts scripts/docs/*) package.json node_modules/.package-lock.json
	@echo 'docs build/share/'
	@$(OWNER) $(call run-script,docs) build/share
	@$(OWNER) touch $@

# --- install -----------------------------------------------------------------------------------------
export PREFIX DESTDIR

install: ## install below PREFIX=/usr/local (and DESTDIR), with services, man pages, completions
	@scripts/install --check
	@$(MAKE) all docs
	@scripts/install

uninstall: ## remove it again; keeps etc/default/netwatch and what was written
	@scripts/install --remove

deb: ## make build/netwatch_VERSION_ARCHITECTURE.deb, for Debian and Ubuntu
	@scripts/setup --deb
	@$(MAKE) all docs
	@$(OWNER) scripts/deb

# --- checks and tests --------------------------------------------------------------------------------
check: setup-test ## linters, formatters, types, and that generated files are up to date
	@$(MAKE) -k check-lint check-format check-c check-types check-generated

check-lint: node_modules/.package-lock.json
	@echo eslint; $(OWNER) $(BIN)/eslint . --max-warnings 0

check-format: node_modules/.package-lock.json
	@echo prettier; $(OWNER) $(BIN)/prettier --check --log-level=warn .

check-c:
	@echo clang-format; $(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

check-types: node_modules/.package-lock.json
	@echo tsc; $(OWNER) $(BIN)/tsc -p tsconfig.test.json --skipLibCheck
	@$(OWNER) $(BIN)/tsc -p tsconfig.page.json --skipLibCheck

GENERATED := src/generated contrib/grafana contrib/prometheus docs/files-and-metrics.md docs/reliability.md
check-generated: generate contrib
	@echo 'git diff $(GENERATED)'; $(OWNER) git diff --exit-code --stat -- $(GENERATED)
	@new=$$($(OWNER) git ls-files --others --exclude-standard -- $(GENERATED)); \
		[ -z "$$new" ] || { echo "not committed: $$new"; exit 1; }

fmt: node_modules/.package-lock.json ## format TypeScript and C in place
	@$(OWNER) $(BIN)/eslint . --fix >/dev/null || true
	@$(OWNER) $(BIN)/prettier --write --log-level=warn .
	@$(OWNER) $(CLANG_FORMAT) -i $(C_FILES)

# The tests leave their TAP in .tap/, as root: given back, so that test-unit works without root.
run-tests = rc=0; $(TS) scripts/test.ts $1 $(FILES) || rc=$$?; chown -R --reference=. .tap 2>/dev/null || true; exit $$rc

test: setup-test ## set up, build, run all tests (root); FILES="test/x.test.ts" for some
	@[ "$$(id -u)" = 0 ] || { echo 'netwatch: the end-to-end tests need root' >&2; \
		echo '  run: sudo make test, or without root: make test-unit' >&2; exit 3; }
	@$(MAKE) all docs
	@$(call run-tests,)

test-unit: node_modules/.package-lock.json ## tests that need no root, no clang, no network
	@$(call run-tests,--unit)

test-faults: setup-test ## only the suite test/faults (root): what docs/reliability.md is made of
	@[ "$$(id -u)" = 0 ] || { echo 'netwatch: faults are tried as root' >&2; \
		echo '  run: sudo make test-faults' >&2; exit 3; }
	@$(MAKE) all docs
	@$(call run-tests,--faults)

# One line per kernel and test; --quick (as CI runs it): an old and a new kernel, the sharpest tests.
test-vm: setup-test ## kernel-facing tests on several kernels in qemu (root); KERNELS="5.10 6.1", VM_ARGS=--quick
	@[ "$$(id -u)" = 0 ] || { echo 'netwatch: sharing file systems with a virtual machine needs root' >&2; \
		echo '  run: sudo make test-vm' >&2; exit 3; }
	@scripts/setup --vm $(if $(KERNELS)$(VM_ARGS),,--arm64)
	@$(MAKE) all bpf-arm64
	@$(TS) scripts/vm.ts $(if $(KERNELS),--kernels "$(KERNELS)") $(VM_ARGS)

# --- use ---------------------------------------------------------------------------------------------
# Ctrl-C must reach netwatch but not make, which would call it an error: on a terminal, bash's job
# control gives netwatch a process group of its own (and it ends if bash is ended some other way).
run: all ## set up, build, watch: ./netwatch -x -r -t -i -e, or ARGS="…"
	@data=data; set -- $(ARGS); while [ $$# -gt 0 ]; do \
		case $$1 in --data=*) data=$${1#--data=} ;; --data) data=$${2:-} ;; esac; shift; done; \
	echo "netwatch: writes what it sees into $$data/ (connects.log, packets.log, requests.log, err.log, netwatch.prom)"; \
	echo "  look from another terminal: tail -F $$data/*.log"; \
	echo '  Ctrl-C here ends it and prints a summary'; \
	if [ -t 0 ]; then set -m; setpriv --pdeathsig TERM ./netwatch $(ARGS); else exec ./netwatch $(ARGS); fi

demo: all ## 20 seconds of sample traffic in a private network namespace, watched (root)
	@$(call run-script,demo)

bench: all ## measure the cost, beside other tools (root); SMOKE=1: only that each row can be measured
	@scripts/setup --bench
	@$(call run-script,bench) $(if $(filter 1,$(SMOKE)),--smoke)

accuracy: all ## how exact the parts of HTTP exchanges are (root): 1,000 exchanges per injected delay
	@$(call run-script,accuracy)

clean: ## remove what was built; keeps data/ and node_modules/
	rm -rf build .tap $(CACHE)/deps $(CACHE)/arm64 $(CACHE)/generated bpf/*.bpf.o netwatch
