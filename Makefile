# What one does with Interlock in a checkout. `make` alone lists it; needs only Python 3.11 or newer.

VENV  := .venv
BIN   := $(VENV)/bin
TESTS ?= tests
PYTEST_WORKERS ?= 2

# The first Python on the PATH that is new enough; `make setup PYTHON=/path/to/python3.12` overrides it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench soak lock

help: ## say what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from the locks (instant when nothing changed)
	@test -n "$(PYTHON)" || { echo "Interlock needs Python 3.11 or newer; none is on the PATH. Install one, or say: make $@ PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) scripts/setup_venv.py

demo: setup ## two weeks of real baskets, from order to door and back, on a real PostgreSQL
	@$(BIN)/interlock demo

test: setup ## run every test (TESTS=tests/domain for some of them)
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal $(TESTS)

check: setup ## lint, format, types, layers, and the rules of the house
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --quiet tests/test_house.py

format: setup ## let ruff put the format and the simple lints right
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

bench: setup ## measure orders against the bare floor of the same PostgreSQL, and files against bare parsers
	@$(BIN)/interlock bench

MINUTES ?= 10

soak: setup ## crash runs and simulated months with fresh seeds (MINUTES=10, SEED=N)
	@$(BIN)/python scripts/soak.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# Existing pins stay unless pyproject.toml rules them out; `make lock UPGRADE=--upgrade` takes the newest.
COMPILE := $(BIN)/uv pip compile $(UPGRADE) --quiet --system-certs --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header

lock: setup ## write both lock files from pyproject.toml (UPGRADE=--upgrade for newer versions)
	@$(BIN)/python -m pip install -qq 'uv>=0.13'
	@$(COMPILE) --extra demo --extra dev pyproject.toml --output-file requirements.lock
	@$(COMPILE) --no-deps --group pyproject.toml:data --output-file requirements-data.lock
	@$(MAKE) --no-print-directory setup
