# Every command sets up what it needs by itself: see scripts/environment.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON_HERE := .venv/bin/python

# Handed on as typed: JSON may hold quotes, spaces and dollar signs.
override SOURCE := $(value SOURCE)
override CONF := $(value CONF)
override TARGET := $(value TARGET)
override LOCOMO := $(value LOCOMO)
export SOURCE CONF TARGET LOCOMO PYTHON

.PHONY: help demo up import test test-fast test-distributed test-outage test-browser screenshots check lint format lock audit bench fuzz faults recall clean environment selfhosted

help:         ## show this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: environment       ## load the sample exports into a self-hosted EverOS, ask it a question, stop [TARGET=standin-v1]
	@exec $(PYTHON_HERE) -m include.local demo --target "$$TARGET"

up: environment         ## the same, and leave Airflow and EverOS running until Ctrl-C
	@exec $(PYTHON_HERE) -m include.local up --target "$$TARGET"

import: environment     ## load an export into your EverOS: SOURCE=path [CONF='{"include": ["slack_general"]}']
	@exec $(PYTHON_HERE) -m include.local import --conf "$$CONF" -- "$$SOURCE"

test: environment selfhosted  ## all tests, with a real Airflow for the end-to-end ones; on two cores at once
	@exec $(PYTHON_HERE) -m pytest -n 2 --no-loadscope-reorder

test-fast: environment selfhosted  ## the tests that need no running Airflow
	@exec $(PYTHON_HERE) -m pytest -m "not e2e and not distributed and not outage and not browser"

test-distributed: environment  ## two Celery workers that share a ledger and a bucket; needs PostgreSQL and Redis on this machine
	@.venv/bin/uv pip install --quiet --no-deps --require-hashes --python $(PYTHON_HERE) --requirements requirements-distributed.txt
	@exec $(PYTHON_HERE) -m pytest -m distributed

test-outage: environment  ## Airflow's own database is locked or killed, its disk is full; PostgreSQL, Redis, for the disk root
	@.venv/bin/uv pip install --quiet --no-deps --require-hashes --python $(PYTHON_HERE) --requirements requirements-distributed.txt
	@exec $(PYTHON_HERE) -m pytest -m outage

test-browser: environment  ## an import as a person does it, in a Chromium; fetches one where the system has none
	@$(PYTHON_HERE) tests/e2e/browser.py
	@exec $(PYTHON_HERE) -m pytest -m browser

screenshots: environment  ## pictures of the form, the grid, the connection and the report into docs/screenshots
	@$(PYTHON_HERE) tests/e2e/browser.py
	@exec $(PYTHON_HERE) scripts/screenshots

check: lint test-fast    ## lint, format, types, import rules and the fast tests: run before a commit

lint: environment
	@$(PYTHON_HERE) -m ruff check
	@$(PYTHON_HERE) -m ruff format --check
	@$(PYTHON_HERE) -m mypy
	@.venv/bin/lint-imports

format: environment     ## mend lint and format where a machine can
	@$(PYTHON_HERE) -m ruff check --fix --quiet
	@$(PYTHON_HERE) -m ruff format

lock: environment       ## resolve pyproject.toml anew into the four requirements*.txt, with digests [UPGRADE=1]
	@scripts/lock

audit: environment      ## look up every pin of the locks among published advisories (asks api.osv.dev)
	@scripts/audit

bench: environment      ## time and memory from an export to its plan; speed of a load beside a plain client
	@exec $(PYTHON_HERE) -m include.bench

fuzz: environment       ## FUZZ_EXAMPLES=5000 made-up inputs for every property of parsers and delivery, and damaged exports
	@exec $(PYTHON_HERE) -m pytest -m hypothesis tests/include/test_slack*.py tests/include/test_discord*.py \
	    tests/include/test_everos_json.py tests/include/test_json_stream.py tests/include/test_ids.py \
	    tests/include/test_damaged_exports.py tests/include/test_machine.py --hypothesis-profile=fuzz

faults: environment     ## all that can go wrong with a load, against the stand-in: what is lost, doubled, out of order
	@exec $(PYTHON_HERE) -m include.bench.faults

recall: environment selfhosted  ## load one history in several layouts, ask each the same questions [LOCOMO=locomo10.json]
	@exec $(PYTHON_HERE) -m tests.recall --kinds $${LOCOMO:+--locomo "$$LOCOMO"}

.env:                   ## settings and random secrets for Docker Compose, from .env.example
	@scripts/dotenv

clean:                  ## remove the environment and caches; keeps .local, the ledger lives there
	rm -rf .venv* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@scripts/environment

selfhosted:
	@scripts/environment selfhosted
