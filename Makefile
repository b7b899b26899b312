# `make` alone lists the targets.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help install demo test check bench soak fuzz
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

$(STAMP): requirements-dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "needs $(PYTHON) (set PYTHON=...)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

install: $(STAMP) ## make .venv with everything in it

demo: $(STAMP) ## a whole market on this laptop, live in the browser (Ctrl-C ends it)
	@$(BIN)/bmv demo $(ARGS)

test: $(STAMP) ## run the test suite, in two processes
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP) ## lint, types, layers, tidiness
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest tests/test_tidy.py

bench: $(STAMP) ## speed against plain baselines, one JSON line each
	@$(BIN)/python -m tests.bench

soak: $(STAMP) ## long whole-system runs
	$(BIN)/python -m pytest -m soak tests

fuzz: $(STAMP) ## long random runs: mutated accounts, fresh conformance steps
	$(BIN)/python -m pytest -m fuzz tests
