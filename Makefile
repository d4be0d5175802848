# Two commands set everything up by themselves: `make demo` and `make test`.
#
# VENV, PYTHON and CARGO_TARGET_DIR may be set from outside; caches only make a rerun faster.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dolma_pipeline/target
STAMP := $(VENV)/.installed
SOURCES := pyproject.toml $(shell find rust_ext -name '*.rs' -o -name 'Cargo.*' -not -path '*/target/*')

.PHONY: help demo test quick check rust bench parity reference clean setup

help:
	@echo "make demo    set up, then the quickstart: real text to a trained model"
	@echo "make test    set up, then lint, types, Rust tests and Python tests"
	@echo "make quick   ruff and the tests of what one edits most, without Ray and torch: under a minute"
	@echo "make check   lint and types alone"
	@echo "make reference  docs/reference, written anew from the code"
	@echo "make bench   every stage on real documents, beside dolma 1.2.1"
	@echo "make parity  results beside dolma 1.2.1, CLD2, Lingua and transformers; with DOLMA_UPSTREAM=DIR, a checkout of"
	@echo "             Dolma, its own tests too; with DOLMA_OLMO_VENV=DIR the readers of OLMo, Megatron and datatrove"

toolchain:
	@command -v cargo >/dev/null 2>&1 || { echo "dolma_pipeline needs a Rust toolchain: install it from https://rustup.rs (or your package manager: rustc and cargo >= 1.89)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { echo "dolma_pipeline needs Python >= 3.10; set PYTHON=/path/to/python3" >&2; exit 1; }

$(STAMP): $(SOURCES) | toolchain
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

setup: $(STAMP)

demo: setup
	$(BIN)/dolma run quickstart --processes 2

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts

rust: setup
	cd rust_ext && cargo fmt --check
	cd rust_ext && cargo clippy --quiet --release --all-targets -- -D warnings
	cd rust_ext && cargo test --quiet --release -p dolma-core

# Files of tests share nothing, so that as many run at once as there are processors, four at most: some start a Ray.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

# It ends with the tests that were skipped, each with what would run it.
test: check rust
	$(BIN)/python -m pytest $(PARALLEL) -rs

# What takes long stays out: Ray, torch, fastText's trainer, whole commands, and tests that compare at length.
QUICK := collect dedupe formats mixers report stat taggers \
	$(addprefix cli/test_,arguments.py command.py drop_in.py drop_in_mix.py list.py mix_as_dolma.py passed_over.py) \
	$(addprefix tokens/test_,compare.py convert.py datatrove.py engine.py hub.py keys.py manifest.py megatron.py merge.py \
		packing.py parts.py rows.py shard.py statistics.py vocabulary.py) \
	$(addprefix config/test_,extends.py load.py resolvers.py validation.py yaml_file.py) \
	$(addprefix engine/test_,ledger.py segments.py task.py) $(addprefix io/test_,files.py globbing.py url.py writing.py) \
	$(addprefix test_,account.py design.py needs.py secrets.py)
NOT_QUICK := $(addprefix --ignore tests/taggers/test_,classifiers.py language.py native.py parity.py source_code.py \
	source_parity.py)

quick: setup
	$(BIN)/ruff check .
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not data" $(addprefix tests/,$(QUICK)) $(NOT_QUICK)

# The pages depend on the code alone, so that a test can compare them.
reference: setup
	$(BIN)/python -m scripts.reference

bench: setup
	$(BIN)/python -m bench.run

# Builds an environment with dolma 1.2.1 unless DOLMA_PEER_VENV names one.
parity: setup
	$(BIN)/pip install --quiet --disable-pip-version-check \
		beautifulsoup4 boto3 lingua-language-detector pycld2 transformers
	peer=$$(dirname $$(dirname $$($(BIN)/python -m bench.peer))) && DOLMA_PEER_VENV=$$peer $(BIN)/python -m pytest -rs \
		tests/taggers/test_parity.py tests/taggers/test_source_parity.py tests/mixers/test_mix_parity.py \
		tests/taggers/test_second_opinions.py tests/tokens/test_peers.py \
		tests/train/test_trainer.py::test_the_export_in_transformers
	@if [ -n "$(DOLMA_UPSTREAM)" ]; then $(BIN)/python tests/parity/run_upstream.py "$(DOLMA_UPSTREAM)" && \
	DOLMA_PEER_VENV=$$(dirname $$(dirname $$($(BIN)/python -m bench.peer))) \
	$(BIN)/python tests/parity/run_configs.py "$(DOLMA_UPSTREAM)"; \
	else echo "DOLMA_UPSTREAM=DIR, a checkout of Dolma, runs its own tests as well"; fi

clean:
	rm -rf $(VENV) build dist *.egg-info dolma_pipeline/_native*.so
