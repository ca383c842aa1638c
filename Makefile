# Everything a contributor runs. `make` alone prints the targets; each one sets up what it needs.

PYTHON ?= python3
VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps

# The extension is compiled optimised but without whole-program optimisation: tests start minutes earlier.
# What is shipped and what is measured is built with `dist`.
PROFILE ?= release
# Rust tests keep overflow checks and debug assertions.
RUST_TEST_PROFILE ?= dev

RUST_SOURCES := Cargo.toml Cargo.lock pyproject.toml python/Cargo.toml \
	$(shell find src python/src -name '*.rs' 2>/dev/null)
PYTHON_SOURCES := $(shell find python/arcgrad \( -name '*.py' -o -name '*.pyi' \) 2>/dev/null)
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup build demo test test-rust test-python stress instructions record-instructions lint portable fmt stubs bench docs wheel clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMPS)/test $(STAMPS)/demo ## Make the virtual environment (.venv) with every tool

build: $(STAMPS)/built ## Compile the extension and install it, editable, into .venv

demo: $(STAMPS)/built $(STAMPS)/demo ## Run the tutorial, then train on handwritten digits (writes digits.png)
	$(BIN)/python examples/tutorial.py
	$(BIN)/python examples/digits.py

test: lint docs test-rust test-python instructions ## Everything: lints, documentation, Rust and Python tests, instruction counts

test-rust: ## Rust unit, integration and documentation tests, and that examples and benches compile
	cargo test --package arcgrad --profile $(RUST_TEST_PROFILE)
	cargo test --package arcgrad --profile $(RUST_TEST_PROFILE) --benches --no-run

test-python: $(STAMPS)/built $(STAMPS)/test $(STAMPS)/demo ## Python tests (PYTEST_ARGS="-k name" narrows them)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

STRESS ?= 100

stress: $(STAMPS)/built $(STAMPS)/test ## STRESS times as many random programs and threads as `make test` runs (100 take some ten minutes)
	STRESS=$(STRESS) $(BIN)/python -m pytest tests/python/test_stress.py $(PYTEST_ARGS)

# Where there is no valgrind the count is left out, and said to be; continuous integration installs it.
instructions: ## Count the instructions of small operations; more than 3 % above benches/instructions.tsv fail
	@if command -v valgrind >/dev/null; then cargo bench --bench instructions; \
	else echo "instructions: not counted, for valgrind is not installed"; fi

record-instructions: ## Write benches/instructions.tsv anew, after a change that is meant to cost
	cargo bench --bench instructions -- --record

lint: stubs portable ## Formatting, clippy, ruff, mypy, stubs against the built module
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# No compiler for another processor is asked for: the library (not its tests) is checked with what is for x86-64 alone taken for what
# is for SPARC, and with names of x86-64's instructions that nobody knows.
PORTABLE := target/portable
portable: ## Check that the crate compiles for processors other than x86-64
	rm -rf $(PORTABLE) && mkdir -p $(PORTABLE)
	@cp --parents $(RUST_SOURCES) $(wildcard benches/*.rs benches/*/*.rs) $(PORTABLE)
	grep -rlE 'x86|target_feature' $(PORTABLE)/src | xargs sed -i -e 's/target_arch = "x86_64"/target_arch = "sparc64"/' \
		-e 's/arch::x86_64/arch::nowhere/' -e 's/is_x86_feature_detected!/nowhere!/' -e 's/target_feature(enable = "[^"]*")/target_feature(enable = "nowhere")/'
	cargo check --manifest-path $(PORTABLE)/Cargo.toml --package arcgrad --lib --target-dir target

fmt: $(STAMPS)/test ## Format Rust and Python, and apply the lints' safe mends
	cargo fmt --all
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

stubs: $(STAMPS)/stubs ## Check the stub and docs/compatibility.md against the built module (tools/ has what writes them)

bench: $(BENCH_VENV)/built ## Rust benches, then the comparison with the installed peers (docs/benchmarks.md)
	cargo bench
	$(BENCH_VENV)/bin/python benches/python/compare.py $(BENCH_ARGS)

docs: ## Build the crate's documentation; a broken link or a missing word fails
	RUSTDOCFLAGS="$(RUSTDOCFLAGS) -D warnings" cargo doc --no-deps --package arcgrad

wheel: $(STAMPS)/build ## Build the wheel that is shipped, into dist/
	rm -f dist/*.whl
	$(BIN)/maturin build --profile dist --out dist --interpreter $(BIN)/python

clean: ## Remove what was built and the virtual environments
	cargo clean
	rm -rf $(VENV) $(BENCH_VENV) dist digits.png python/arcgrad/_core*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Files that say when a step was last done, so that a second run skips it.

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "arcgrad needs Python 3.10 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/%: requirements/%.txt requirements/build.txt | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --requirement $<
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/built: $(RUST_SOURCES) $(STAMPS)/build
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --profile $(PROFILE)
	@touch $@

$(STAMPS)/stubs: $(STAMPS)/built $(STAMPS)/test $(PYTHON_SOURCES)
	$(BIN)/python tools/stubs.py --check
	$(BIN)/python tools/compatibility.py --check
	@touch $@

# Benchmarks measure the wheel that is shipped, in an environment of their own, where peers may be installed.
$(BENCH_VENV)/built: $(RUST_SOURCES) $(PYTHON_SOURCES)
	@$(MAKE) wheel
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps dist/*.whl
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --requirement requirements/build.txt
	@touch $@
