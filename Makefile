# Every target sets up what it needs in .venv on its first call and reuses it afterwards.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Packages are fetched by pip alone; its own configuration decides from where.
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install demo check format test test-slow bench tables docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(BIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Decant needs Python 3.11 or newer; $(PYTHON) is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@

$(BIN)/.installed-docs: $(BIN)/.installed
	$(PIP) install --quiet --editable '.[docs]'
	@touch $@

install: $(BIN)/.installed  ## the package and what it needs, in .venv

demo: $(BIN)/.installed  ## a student alone, with KD, with KD matched, with DKD, on real digits
	$(BIN)/decant compare demo --seeds 10 --threads 1

check: $(BIN)/.installed-dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(BIN)/.installed-dev  ## rewrite the files the way `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A process per core, each with one thread: the tests are many and small.
test: $(BIN)/.installed-dev  ## the tests, in minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' --numprocesses auto

test-slow: $(BIN)/.installed-dev  ## processes, kills, every recipe
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --numprocesses auto

# BENCH names groups (loss, step, loop; all by default), BENCH_OPTIONS what `python -m benchmarks --help` lists.
bench: $(BIN)/.installed  ## speed against floors and the reference: make bench BENCH=step BENCH_OPTIONS="--reference DIR"
	$(BIN)/python -m benchmarks $(BENCH) $(BENCH_OPTIONS)

PAGES := README.md $(shell find docs -name '*.md')
tables: $(BIN)/.installed  ## the tables in README and docs, made anew from results/
	$(BIN)/python -m decant.report.pages $(PAGES)
	$(BIN)/python -m benchmarks.table $(PAGES)

docs: $(BIN)/.installed-docs  ## the documentation as a site, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## remove what was installed and cached (not runs, not data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
