# make demo   set up, build, ingest samples/ and ask three questions
# make test   set up and run every test
# make check  format, lints, docs, licences: the fast things
# make bench  speed, side by side with peers
# make bench-loop  the loop beside bare librdkafka and Kafka Streams (tests/benches)
# make load   documents at a set rate on a real cluster; a slow store, a store that is away
# make chaos  an hour of faults, and an account of every record (SEED=1 DOCUMENTS=10000 FAULTS=200)
# make build · make model · make lean · make clean-data

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/penstock
export CARGO_TARGET_DIR ?= $(CURDIR)/target
BIN = $(CARGO_TARGET_DIR)/debug/penstock
# Tests wait for servers more than they work.
export RUST_TEST_THREADS ?= $(shell expr 2 \* $$(nproc))
# One selection of packages for every command, so that nothing is built twice with other features.
ALL = --workspace --locked
DATA ?= penstock-data
SEED ?= 1
DOCUMENTS ?= 10000
FAULTS ?= 200

.PHONY: demo test check lean bench bench-loop chaos load build model setup clean-data

setup:
	@scripts/setup.sh

model: setup
	@scripts/fetch-model.sh

build: setup
	cargo build $(ALL)

demo: build model
	@samples/demo.sh "$(BIN)" "$(DATA)"

test: build model
	@scripts/setup.sh python servers
	cargo test $(ALL) --no-fail-fast

check: setup
	cargo fmt --all --check
	cargo clippy $(ALL) --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc $(ALL) --no-deps
	@scripts/setup.sh deny
	PATH="$(CACHE)/tools/bin:$$PATH" cargo deny --all-features check licenses bans sources

# The build for pods, without the embedded engines. Apart from check: other features mean other builds of half the tree.
lean: setup
	cargo clippy --package penstock --no-default-features --locked -- --deny warnings

bench: build model
	@$(BIN) bench parse samples
	@$(BIN) bench embed
	@$(BIN) bench ingest samples

bench-loop: build
	@scripts/setup.sh servers streams
	@$(CARGO_TARGET_DIR)/debug/bench-loop compare
	@$(CARGO_TARGET_DIR)/debug/bench-loop poison
	@$(CARGO_TARGET_DIR)/debug/bench-loop backlog

# Some eight minutes. Tables and pictures go to the target folder.
load: build model
	@scripts/setup.sh servers
	@$(CARGO_TARGET_DIR)/debug/load --out $(CARGO_TARGET_DIR)/load

# Mounts a small file system, so it needs root.
chaos: build model
	@scripts/setup.sh servers
	@$(CARGO_TARGET_DIR)/debug/chaos --seed $(SEED) --documents $(DOCUMENTS) --faults $(FAULTS)

clean-data:
	rm -rf "$(DATA)"
