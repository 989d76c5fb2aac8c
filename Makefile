# Everything a contributor types. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo run example test check lint types fmt bench soak docs manifests proto dist localstack clean
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PORT ?= 8080
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## the whole life of a key, with everything running for a moment
	@$(BIN)/keyrail demo

run: $(INSTALLED) ## leave everything up on one local port (PORT=8080) until Ctrl-C
	@exec $(BIN)/keyrail dev --port $(PORT)

example: $(INSTALLED) ## a pipeline of two services whose keys and passwords rotate under load (KEEP=1 leaves it up)
	@cd examples/pipeline && exec $(CURDIR)/$(BIN)/python -m stage $(if $(KEEP),--keep)

test: $(INSTALLED) ## all tests, against a real OpenBao, PostgreSQL, gateways and containers
	@tests/install-debian-packages
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: lint types $(INSTALLED) ## what a pull request must pass, beside the tests
	@tests/install-debian-packages
	$(BIN)/lint-imports
	$(BIN)/pytest tests/consistency

lint: $(INSTALLED) ## style and bug patterns
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED) ## static types, strict
	$(BIN)/mypy

fmt: $(INSTALLED) ## put the code into its one format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED) ## speed and memory, as ratios measured side by side
	@tests/install-debian-packages
	$(BIN)/python -m bench

soak: $(INSTALLED) ## what must hold for long, while processes are killed; an hour
	@tests/install-debian-packages
	$(BIN)/python -m soak

docs: $(INSTALLED) ## write docs/openapi.yaml anew from the operations
	$(BIN)/python -m keyrail.dev.openapi

manifests: $(INSTALLED) ## write anew what in infra/ follows from functions/, and tables of Terraform's inputs
	$(BIN)/python -m keyrail.dev.manifests

proto: $(INSTALLED) ## write the gRPC code in shared/keyrail anew from proto/
	$(BIN)/python -m keyrail.dev.proto

dist: $(INSTALLED) ## write what is deployed to dist/: a source for Google Cloud and zips for AWS Lambda, a function each
	$(BIN)/python -m keyrail.dev.dist

localstack: $(INSTALLED) ## deploy the zips by Terraform to LocalStack and MiniStack, and see that everything works
	@$(BIN)/python -m keyrail.dev.local_aws

clean: ## remove the environment, caches, and the keys of make run
	rm -rf $(VENV) .keyrail dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Built once, and again when pyproject.toml changes.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Keyrail needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV), once ..."
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) can't make an environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
