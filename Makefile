# `make` lists the targets. The environment is made on first use and again only when the requirements change.

.DEFAULT_GOAL := help
.PHONY: help install demo docs pictures test mlflow clients ppi test-long test-soak quick check format migration requirements clean

VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
UV_INSTALL := install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
LOCK_OF = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--no-emit-index-url --generate-hashes --no-header
LOCK = $(LOCK_OF) pyproject.toml
MLFLOW := 3.17.2
PPI := 0.2.3
CLIENTS := tests/gateway/clients
PYTHON_CLIENTS := openai==3.57.0 anthropic==2.14.0 openai-agents==0.24.0 pydantic-ai-slim[openai,anthropic]==2.68.0 \
	langchain-openai==1.7.4 langchain-anthropic==1.7.10 openinference-instrumentation-openai==0.1.66 \
	opentelemetry-instrumentation-openai==0.62.4 opentelemetry-exporter-otlp-proto-http==1.45.2
# A file of tests is one worker's. Left to itself xdist begins with the files that have the most tests, and ends with one
# worker waiting for a few that start whole stacks. Tests wait for a third of their time, so three of them use two cores.
SPREAD := --dist loadfile --no-loadscope-reorder
# The long tests start whole stacks, and mostly wait for them: four beside each other use two cores. What ran out of time
# beside the others is run again alone; it is reported both times, and what fails twice has failed.
test test-long test-soak: export OPENBLAS_NUM_THREADS = 1# several workers share the processors already
LONG := --timeout 600 -m "(long or chaos) and not soak"
# Tests and demo start hundreds of processes; without this each of them may compile what it imports, where the
# environment forbids to keep what was compiled.
export PYTHONDONTWRITEBYTECODE =
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11; do \
	$$one -c '$(SUPPORTED)' 2>/dev/null && { echo $$one; break; }; done)

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

install: $(VENV)/.runtime ## install softlaunch into .venv; then: source .venv/bin/activate

demo: $(VENV)/.runtime ## watch four releases on this machine: one promoted, one rejected, two rolled back
	@$(BIN)/softlaunch demo

test: $(VENV)/.dev ## run the test suite
	@$(BIN)/pytest -n 3 $(SPREAD)

test-long: $(VENV)/.dev ## run the long tests: kills at seeded instants, browsers, whole stacks
	@$(BIN)/pytest -n 4 $(SPREAD) $(LONG) || { [ $$? -eq 1 ] || exit 1; echo "what failed beside others, alone:"; \
		$(BIN)/pytest $(LONG) --last-failed --last-failed-no-failures none; }

test-soak: $(VENV)/.dev ## run long tests at full length, with more seeds, on both databases; takes long
	@$(BIN)/pytest -n 4 $(SPREAD) --timeout 900 -m soak

mutants: $(VENV)/.dev ## see what tests miss: SEED=1 COUNT=50 MODULES=softlaunch/gateway TESTS=tests/gateway
	@nice $(BIN)/python -m benchmarks.mutants $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) \
		$(if $(MODULES),--modules $(MODULES)) $(if $(TESTS),--tests $(TESTS)) $(if $(SECONDS),--seconds $(SECONDS))

quick: $(VENV)/.dev ## run the tests that take less than a few seconds each
	@$(BIN)/pytest -m "not slow and not long and not chaos and not soak"

docs: $(VENV)/.dev ## build the documentation into site/, which can be read without a server
	@$(BIN)/python docs/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean
	@echo "open site/index.html"

pictures: $(VENV)/.dev ## make the README's pictures anew from a demo; needs chromium and fonts-noto-color-emoji
	@$(BIN)/python docs/pictures.py

check: $(VENV)/.dev ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## sort imports and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

mlflow: .venv-mlflow/.done ## install the MLflow server that some of the long tests talk to (600 MB, in .venv-mlflow)

clients: .venv-clients/.done $(CLIENTS)/node_modules/.done ## install the clients that some of the long tests talk through (400 MB)

ppi: .venv-ppi/.done ## install the reference implementation that a long test compares estimates with (600 MB, in .venv-ppi)

migration: $(VENV)/.dev ## write the next schema revision from the tables: make migration MESSAGE="add a column"
	@test -n "$(MESSAGE)" || { echo 'say what changes: make migration MESSAGE="add a column"' >&2; exit 2; }
	@$(BIN)/python -m softlaunch.store.migrations.revise "$(MESSAGE)"

requirements: $(BIN)/uv ## lock what pyproject.toml asks for; UPGRADE=--upgrade takes the newest versions
	@$(LOCK) $(UPGRADE) --group build -o requirements.txt
	@$(LOCK) $(UPGRADE) --group build --group dev --constraints requirements.txt -o requirements-dev.txt
	@$(LOCK) $(UPGRADE) --group build --extra envoy --extra otlp --constraints requirements-dev.txt -o requirements-image.txt
	@echo prefect-kubernetes | $(LOCK) - $(UPGRADE) --group build --constraints requirements.txt -o requirements-kubernetes.txt
	@echo cyclonedx-bom | $(LOCK_OF) - $(UPGRADE) -o requirements-sbom.txt
	@echo "mlflow==$(MLFLOW)" | $(LOCK_OF) - $(UPGRADE) -o requirements-mlflow.txt
	@echo "ppi-python==$(PPI)" | $(LOCK_OF) - $(UPGRADE) -o requirements-ppi.txt
	@printf '%s\n' $(PYTHON_CLIENTS) | $(LOCK_OF) - $(UPGRADE) -o requirements-clients.txt

clean: ## remove the environment, caches and builds (never .softlaunch, which holds a ledger)
	@rm -rf $(VENV) .venv-mlflow .venv-clients .venv-ppi $(CLIENTS)/node_modules site .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv: requirements-uv.txt
	@test -n "$(PYTHON)" || { echo "softlaunch needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no pip; on Debian and Ubuntu: apt-get install python3-pip" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@if $(PYTHON) -m pip --version >/dev/null 2>&1; \
		then $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python $(UV_INSTALL); \
		else $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip $(UV_INSTALL); fi
	@touch $@

$(VENV)/.runtime: requirements.txt pyproject.toml $(BIN)/uv
	@echo "installing what softlaunch needs"
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "installing what tests and checks need"
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

.venv-mlflow/.done: requirements-mlflow.txt $(BIN)/uv
	@echo "installing MLflow into .venv-mlflow"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-mlflow
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-mlflow/bin/python --require-hashes -r requirements-mlflow.txt
	@touch $@

.venv-clients/.done: requirements-clients.txt $(BIN)/uv
	@echo "installing the clients for Python into .venv-clients"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-clients
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-clients/bin/python --require-hashes -r requirements-clients.txt
	@touch $@

.venv-ppi/.done: requirements-ppi.txt $(BIN)/uv
	@echo "installing ppi-python into .venv-ppi"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-ppi
	@$(BIN)/uv pip install --quiet --python .venv-ppi/bin/python --require-hashes -r requirements-ppi.txt
	@touch $@

$(CLIENTS)/node_modules/.done: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed; on Debian and Ubuntu: apt-get install nodejs npm" >&2; exit 1; }
	@echo "installing the clients for Node"
	@cd $(CLIENTS) && npm ci --silent
	@touch $@
