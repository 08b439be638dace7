# `make help` lists the targets. A fresh clone needs Python 3.11 or later and the package registry, nothing else.
# `make setup PYTHON=python3.12` builds .venv with another Python; `make clean` first if there is one already.

SHELL := /bin/bash
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
endif
BIN := .venv/bin
READY := .venv/.ready
DOCS := .venv-docs
TABLES := ../shared/data
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup sweep test bench experiments check-devices docs lint format clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20

setup: $(READY)  ## build .venv from requirements.lock (only if it is not up to date)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later found: install one, or give PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jaxsweep needs Python 3.11 or later")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'installing the versions of requirements.lock into .venv (about two minutes)'
	@$(BIN)/python -m pip install --quiet -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

sweep: $(READY)  ## train the default sweep, 256 configs on digits, and print its table; it is kept in runs/
	$(BIN)/python -m jaxsweep run

# Most of a test is compilation, on one core: two processes, each with whole files, take less time than one.
test: $(READY)  ## run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/engine/test_engine.py
	XLA_FLAGS= $(BIN)/python -m pytest tests/engine/test_engine.py

bench: $(READY)  ## measure throughput on this machine (about 20 minutes; with the extra `torch`, PyTorch too)
	$(BIN)/python -m jaxsweep bench

experiments: $(READY)  ## train everything in experiments/README.md again, and write it (an hour; TABLES=folder of the tables)
	$(BIN)/python experiments/answers.py --tables $(TABLES)

check-devices: $(READY)  ## compile for a GPU and a TPU that are absent, and judge the programs (5 minutes; 700 MB more)
	PYTHONPATH=tests $(BIN)/python tests/devices/check.py

$(DOCS)/.ready: docs/requirements.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later found: install one, or give PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@echo 'installing the versions of docs/requirements.txt into $(DOCS)'
	@$(DOCS)/bin/python -m pip install --quiet -r docs/requirements.txt
	@touch $@

# Sphinx has an environment of its own, and does not import jaxsweep: what comes from the code is written before.
docs: $(READY) $(DOCS)/.ready  ## build the documentation into site/; a warning, such as a link to nowhere, is an error
	PYTHONPATH=tests:experiments $(BIN)/python docs/generate.py
	$(DOCS)/bin/python -m sphinx --builder html --fail-on-warning --keep-going --quiet --doctree-dir build/docs docs site
	@echo 'open site/index.html'

lint: $(READY)  ## check style (ruff), format (ruff) and types (mypy --strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## rewrite the code in the format that `make lint` checks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv and all caches; runs/ stays
	rm -rf .venv .venv-devices* .venv-docs site docs/generated docs/measured build jaxsweep.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
