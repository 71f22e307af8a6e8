# Everything a developer types. Needs Python 3.11 or newer with pip; the rest is set up in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SEEDS ?= 500
KILLS ?= 300
ORDERS ?= 5000
PROGRAMS ?= $(FILLWRIGHT_PROGRAMS)
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo run test simulate chaos live check lint bench build clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fillwright needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "adding what the tests need (once)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.dev ## Set up .venv with everything

demo: $(VENV)/.runtime ## Five orders end to end, live
	@$(BIN)/fillwright demo

run: $(VENV)/.runtime ## Serve on http://127.0.0.1:3000 in paper mode
	@$(BIN)/fillwright serve

test: $(VENV)/.dev ## Every test
	@$(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.dev ## Style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test ## What CI runs

simulate: $(VENV)/.dev ## The engine under SEEDS seeded runs of faults
	@test "$(SEEDS)" -gt 0 2>/dev/null || { echo "SEEDS=$(SEEDS): how many seeded runs, 1 or more" >&2; exit 2; }
	@FILLWRIGHT_SEEDS=$(SEEDS) $(BIN)/python -m pytest -q -n $(JOBS) tests/simulation -k no_invariant

chaos: $(VENV)/.dev ## kill -9 of API, workers, PostgreSQL and Redis: KILLS times over ORDERS orders
	@FILLWRIGHT_CHAOS_KILLS=$(KILLS) FILLWRIGHT_CHAOS_ORDERS=$(ORDERS) $(BIN)/python -m pytest tests/system/test_chaos.py -s

live: $(VENV)/.dev ## Live engines on a local Solana with the programs in PROGRAMS: ORDERS orders, KILLS kills
	@test -d "$(PROGRAMS)" || { echo "PROGRAMS=DIR: a folder with the programs' binaries, <program id>.so each" >&2; exit 2; }
	@FILLWRIGHT_PROGRAMS=$(PROGRAMS) FILLWRIGHT_LIVE_ORDERS=$(ORDERS) FILLWRIGHT_LIVE_KILLS=$(KILLS) FILLWRIGHT_ROUTE_ORDERS=200 $(BIN)/python -m pytest -s -q tests/system/test_live.py tests/system/test_live_routes.py tests/system/test_live_processes.py

bench: $(VENV)/.dev ## Every benchmark, each figure beside its goal and a baseline
	@$(BIN)/python -m benchmarks

build: $(VENV)/.dev ## Source archive and wheel into dist/
	@$(BIN)/python -m hatchling build

include compat.mk

clean: ## Remove what the other commands made
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
