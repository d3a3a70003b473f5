# Every target creates what it needs from the hashed locks in requirements/ with nothing but python3 and make.
# Windows has no make: README.md lists the same commands for PowerShell and for uv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(PIP) --require-hashes -r

# CI runs the whole suite, a developer's machine the quick one.
ifeq ($(CI),true)
SUITE :=
else
SUITE := -m "not slow"
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check fmt bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-dev ## Run the system on shipped recordings, print a table and write report.html
	$(BIN)/overround demo

test: $(VENV)/.stamp-dev ## Run the quick suite (CI=true: the slow tests too)
	$(BIN)/pytest -n 2 $(SUITE)

test-all: ## Run every test; the slow ones read ../shared/data
	$(MAKE) test CI=true

check: $(VENV)/.stamp-dev ## Format, lint, import contracts, types, dependencies
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/deptry .

fmt: $(VENV)/.stamp-dev ## Format the code and apply the safe lint fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.stamp-bench ## Run every benchmark beside its peers
	@set -e; for file in benches/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

lock: $(VENV)/.stamp-uv ## Resolve the newest dependencies into requirements/*.txt
	$(BIN)/python requirements/lock.py

clean: ## Remove the environment, caches and build output
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benches -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# One environment: the bench lock agrees with the dev lock, so it only adds the peers.
$(VENV)/.stamp-base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "overround needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-base requirements/dev.txt pyproject.toml
	$(LOCKED) requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp-bench: $(VENV)/.stamp-dev requirements/bench.txt
	$(LOCKED) requirements/bench.txt
	@touch $@

$(VENV)/.stamp-uv: $(VENV)/.stamp-base
	$(PIP) uv
	@touch $@
