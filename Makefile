# Sabha's commands; `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# cargo runs jobs of its own and locks the target folder.
.NOTPARALLEL:

# rustup puts cargo here, and not everybody's PATH knows.
export PATH := $(PATH):$(HOME)/.cargo/bin
# One folder for all that is built: programs, tests, documentation, fuzz targets, tools.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
CARGO ?= cargo

DEMO_OUT ?= target/demo
FUZZ_SECONDS ?= 60
BENCH_ARGS ?=

# Tools that rustup does not bring. One that is installed is used, whatever its version; else this
# version is built once. cargo-deny unoptimised: it builds in a quarter of the time and runs for 2 s.
TOOLS := $(CARGO_TARGET_DIR)/tools
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
installed = $(shell PATH="$(PATH)" command -v $(1))
DENY := $(or $(call installed,cargo-deny),$(TOOLS)/deny-$(DENY_VERSION)/bin/cargo-deny)
FUZZ := $(or $(call installed,cargo-fuzz),$(TOOLS)/fuzz-$(FUZZ_VERSION)/bin/cargo-fuzz)
NEXTEST := $(call installed,cargo-nextest)

# Leaves of the tests' output what one wants to read: which program, how many passed, what failed.
BRIEFLY := 2>&1 | sed -u -E '/^running [0-9]+ tests?$$/d; /^[.i]+( [0-9]+\/[0-9]+)?$$/d; /^$$/d; \
	/^test result: ok\. 0 passed/d; \
	s/^test result: ok\. ([0-9]+) passed.* finished in (.*)/             \1 passed in \2/'

##@ Use
.PHONY: demo
demo: cmake ## run a whole network on this machine and report what was heard (in target/demo)
	$(CARGO) build --release --locked --package sabha-control --bin sabha
	"$(CARGO_TARGET_DIR)/release/sabha" demo --out "$(DEMO_OUT)"

##@ Develop
.PHONY: test
test: cmake prometheus ## run every test
	@echo "building and running every test; the first build takes some minutes"
ifdef NEXTEST
	$(CARGO) nextest run --workspace --locked --cargo-quiet --no-fail-fast \
		--status-level slow --final-status-level slow
	@$(CARGO) test --workspace --locked --doc -- --quiet $(BRIEFLY)
else
	$(CARGO) test --workspace --locked --no-run --quiet
	@$(CARGO) test --workspace --locked --no-fail-fast -- --quiet $(BRIEFLY)
endif

.PHONY: lint
lint: cmake components $(DENY) ## check format, lints, documentation, licences and sources
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	"$(DENY)" --locked check --hide-inclusion-graph licenses bans sources

.PHONY: bench
bench: cmake ## measure the media plane against its limits; BENCH_ARGS="--quick" takes less time
	$(CARGO) bench --package sabha-benches --locked --benches -- $(BENCH_ARGS)
	$(CARGO) run --quiet --release --package sabha-benches --locked --bin bench-table

# RUSTC_BOOTSTRAP lets a stable compiler build with sanitizers; a nightly one ignores it.
.PHONY: fuzz-smoke
fuzz-smoke: export RUSTC_BOOTSTRAP := 1
fuzz-smoke: cmake $(FUZZ) ## fuzz each target for FUZZ_SECONDS (60)
	@targets=$$("$(FUZZ)" fuzz list); \
	for target in $$targets; do \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
		"$(FUZZ)" fuzz run --target-dir "$(CARGO_TARGET_DIR)" "$$target" -- \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0; \
	done

.PHONY: help
help: ## list these commands
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# libopus is built with cmake.
.PHONY: cmake
cmake:
	@scripts/install-cmake.sh

# A test lets a real Prometheus read a node's metrics.
.PHONY: prometheus
prometheus:
	@scripts/install-prometheus.sh

.PHONY: components
components:
	@for component in clippy fmt; do \
		$(CARGO) $$component --version >/dev/null 2>&1 && continue; \
		echo "make: cargo $$component is missing; run: rustup component add clippy rustfmt" >&2; \
		exit 1; \
	done

$(TOOLS)/deny-$(DENY_VERSION)/bin/cargo-deny:
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --quiet --debug \
		--no-default-features --root "$(TOOLS)/deny-$(DENY_VERSION)" --target-dir "$(TOOLS)/build"
	rm -rf "$(TOOLS)/build"

$(TOOLS)/fuzz-$(FUZZ_VERSION)/bin/cargo-fuzz:
	$(CARGO) install cargo-fuzz --version $(FUZZ_VERSION) --locked --quiet \
		--root "$(TOOLS)/fuzz-$(FUZZ_VERSION)" --target-dir "$(TOOLS)/build"
	rm -rf "$(TOOLS)/build"
