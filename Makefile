# Everything is installed into this folder: target/ (Rust), .venv/ (Python). `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := target/release/maniple
TOOLS := $(VENV)/.tools
PACKAGE := $(VENV)/.package

# An environment stays with the interpreter that made it.
ifneq ($(origin PYTHON),file)
ifneq ($(wildcard $(VENV)/bin/python),)
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifneq ($(call version,$(PYTHON)),$(call version,$(VENV)/bin/python))
$(error $(VENV) is of Python $(call version,$(VENV)/bin/python), not of $(PYTHON): give another, like VENV=.venv-other)
endif
endif
endif

FUZZ_SECONDS ?= 600

SEEDS ?= 500

KILLS ?= 100

SOAK_SECONDS ?= 7200

.PHONY: help build wheel demo forget-skipped test test-rust test-python lint format bench fuzz chaos kills soak rounds clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

build: $(PACKAGE) ## build target/release/maniple, and .venv with the package maniple
	cargo build --release -p maniple
	@ln -f $(BIN) $(VENV)/bin/maniple

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Its sources are used where they are, so that a change of them installs nothing anew.
$(PACKAGE): $(VENV)/bin/python python/pyproject.toml
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable ./python
	@touch $@

$(TOOLS): $(VENV)/bin/python python/requirements-dev.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r python/requirements-dev.txt
	@touch $@

wheel: build $(TOOLS) ## build target/wheels/maniple-*.whl, the package with the program inside
	@rm -rf target/wheels
	cd python && ../$(VENV)/bin/maturin build --quiet --release --out ../target/wheels

demo: build ## compute eight factors of 20 stocks, go on from the checkpoint, add tasks
	@examples/factors/demo.sh $(abspath $(BIN)) $(abspath $(VENV))

lint: $(TOOLS) $(PACKAGE) ## formatting, clippy, ruff, mypy
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --features maniple/inject -- -D warnings
	$(VENV)/bin/ruff format --check python examples bench fuzz tests
	$(VENV)/bin/ruff check python examples bench fuzz tests
	cd python && ../$(VENV)/bin/mypy
	cd examples/factors && ../../$(VENV)/bin/mypy --config-file ../../python/pyproject.toml .
	cd examples/web && ../../$(VENV)/bin/mypy --config-file ../../python/pyproject.toml .
	cd bench && MYPYPATH=../python/tests ../$(VENV)/bin/mypy --config-file ../python/pyproject.toml .
	cd fuzz/python && ../../$(VENV)/bin/mypy --config-file ../../python/pyproject.toml .

format: $(TOOLS) ## format everything
	cargo fmt --all
	$(VENV)/bin/ruff format python examples bench fuzz tests

test: forget-skipped build wheel test-rust test-python ## every test
	@tests/skipped.sh

forget-skipped:
	@rm -f target/skipped

test-rust: $(PACKAGE)
	cargo build --workspace --bins --features maniple/inject
	cargo test --workspace --features maniple/inject

test-python: $(TOOLS) $(PACKAGE)
	$(VENV)/bin/pytest -q python/tests

bench: build ## Maniple and others side by side, as ratios
	$(VENV)/bin/python bench/run.py

fuzz: build $(TOOLS) ## the fuzzers, for FUZZ_SECONDS (600) altogether; needs g++
	fuzz/run.sh $(FUZZ_SECONDS) $(abspath $(VENV))/bin/python $(abspath $(BIN))

chaos: $(PACKAGE) ## faults at random: SEEDS=COUNT (500) or FIRST:COUNT
	cargo build --workspace --bins --features maniple/inject
	MANIPLE_CHAOS_SEEDS=$(SEEDS) cargo test --workspace --features maniple/inject --test chaos -- --nocapture

kills: $(PACKAGE) ## kill -9 of each kind of process, KILLS (100) times each at random
	cargo build --workspace --bins --features maniple/inject
	MANIPLE_KILLS=$(KILLS) cargo test --workspace --features maniple/inject --test any_kill -- --nocapture --test-threads 1

soak: build ## jobs and faults on a small cluster for SOAK_SECONDS (7200); nothing lost, nothing grows
	$(VENV)/bin/python bench/soak --seconds $(SOAK_SECONDS) --out target/soak

rounds: fuzz chaos kills ## the fuzzers, chaos, kills, 100,000 simulated clusters, then the fault tests, twenty times in a row
	cargo run --release -p maniple-simulation --example simulate -- seeds 0 100000
	cargo run --release -p maniple-simulation --example simulate -- large 10000 10000000 500
	cargo build --workspace --bins --features maniple/inject
	for round in $$(seq 20); do \
	    echo "round $$round"; \
	    cargo test --workspace --features maniple/inject --test e2e -- kills panics interrupts poison hostile || exit 1; \
	done

clean: ## remove everything that was built or installed
	rm -rf target $(VENV)
