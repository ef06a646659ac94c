# Needs make and Python 3.11+ with venv; uses uv where it is installed. `make help` lists what there is.
VENV   ?= .venv
PYTHON ?= python3
ARGS   ?=
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)

.PHONY: help demo test check format bench lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

demo: $(VENV)/run.ok ## Install on first use, start the demo and open its page (ARGS="--port 8090" for options)
	@$(BIN)/testbed demo $(ARGS)

test: $(VENV)/dev.ok ## Run all tests (ARGS="-k oee" to choose)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/dev.ok ## Lint, types, import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/dev.ok ## Put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/dev.ok ## Measure speed and memory; prints a table
	@$(BIN)/python -m bench $(ARGS)

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -q -o requirements.lock
	uv pip compile pyproject.toml --extra build --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -q -o requirements-dev.lock \
	  -c requirements.lock

clean: ## Remove the environment, caches and the demo's data (data/demo; no other plant's)
	rm -rf $(VENV) data/demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: `run.ok` holds what the product needs, `dev.ok` also what tests and checks need.
$(VENV)/run.ok: requirements.lock pyproject.toml
	$(call install,requirements.lock)
	@touch $@

$(VENV)/dev.ok: requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch $@ $(VENV)/run.ok

define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(if $(UV),--without-pip,) $(VENV)
	@echo "Installing the locked dependencies of $(1) …"
	@if [ -n "$(UV)" ]; then \
	  $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(1) && \
	  $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
endef
