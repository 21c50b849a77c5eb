# Every command makes the environment that it needs: see scripts/environment.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON_HERE := .venv/bin/python

# Passed on unchanged: JSON may contain quotes, spaces and dollar signs.
override SOURCE := $(value SOURCE)
override CONF := $(value CONF)
override TARGET := $(value TARGET)
override LOCOMO := $(value LOCOMO)
override Q := $(value Q)
override IN := $(value IN)
override N := $(value N)
export SOURCE CONF TARGET LOCOMO Q IN N PRIVATE PYTHON

.PHONY: help demo up import preview ask test test-fast test-distributed test-outage test-browser screenshots check lint format lock wheel audit bench fuzz faults recall clean environment selfhosted

help:         ## show this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: environment       ## load the sample exports into a self-hosted EverOS, ask it a question, stop [TARGET=standin-v1]
	@exec $(PYTHON_HERE) -m include.local demo --target "$$TARGET"

up: environment         ## the same, and keep both running until Ctrl-C [TARGET=mine: only Airflow; make the connection in its UI]
	@exec $(PYTHON_HERE) -m include.local up --target "$$TARGET"

import: environment     ## load an export into your EverOS: SOURCE=path [CONF='{"include": ["slack_general"]}']
	@exec $(PYTHON_HERE) -m include.local import --conf "$$CONF" -- "$$SOURCE"

preview: environment    ## show the conversations and first messages that an import would send: SOURCE=path [N=20] [CONF=…]
	@exec $(PYTHON_HERE) -m include.local preview --messages "$$N" --conf "$$CONF" -- "$$SOURCE"

ask: environment        ## ask the memory: Q="Who owns the billing migration?" [IN=conversation] [N=5] [PRIVATE=1] [TARGET=selfhosted]
	@exec $(PYTHON_HERE) -m include.local ask --in "$$IN" --limit "$${N:-5}" $${PRIVATE:+--private} --target "$$TARGET" -- "$$Q"

test: environment selfhosted  ## all tests, the end-to-end ones in a running Airflow; three in parallel, as they often wait
	@exec $(PYTHON_HERE) -m pytest -n 3 --no-loadscope-reorder

test-fast: environment selfhosted  ## the tests that need no running Airflow, with processes and servers
	@exec $(PYTHON_HERE) -m pytest -m "not e2e and not distributed and not outage and not browser"

test-distributed: environment  ## two Celery workers that share PostgreSQL and a bucket; needs PostgreSQL and Redis on this machine
	@.venv/bin/uv pip install --quiet --no-deps --require-hashes --python $(PYTHON_HERE) --requirements requirements-distributed.txt
	@exec $(PYTHON_HERE) -m pytest -m distributed

test-outage: environment  ## a load while Airflow's database is locked or killed, or its disk is full; needs PostgreSQL, Redis, root for the disk
	@.venv/bin/uv pip install --quiet --no-deps --require-hashes --python $(PYTHON_HERE) --requirements requirements-distributed.txt
	@exec $(PYTHON_HERE) -m pytest -m outage

test-browser: environment  ## an import in a browser; downloads Chromium if the system has none
	@$(PYTHON_HERE) -m tests.e2e.browser
	@exec $(PYTHON_HERE) -m pytest -m browser

screenshots: environment  ## pictures of form, grid, connection and report for docs/screenshots
	@$(PYTHON_HERE) -m tests.e2e.browser
	@exec $(PYTHON_HERE) scripts/screenshots

check: lint             ## lint, format, types, import rules and the tests without processes: under a minute, before a commit
	@exec $(PYTHON_HERE) -m pytest -n 2 -m "not process" --hypothesis-profile=quick -q

lint: environment
	@$(PYTHON_HERE) -m ruff check
	@$(PYTHON_HERE) -m ruff format --check
	@$(PYTHON_HERE) -m mypy
	@.venv/bin/lint-imports

format: environment     ## fix lint and format automatically
	@$(PYTHON_HERE) -m ruff check --fix --quiet
	@$(PYTHON_HERE) -m ruff format

lock: environment       ## write the four requirements*.txt from pyproject.toml, with digests [UPGRADE=1]
	@scripts/lock

wheel: environment      ## build the wheel of the whole product into dist/, for another Airflow
	@rm -rf build *.egg-info
	@$(PYTHON_HERE) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@rm -rf build *.egg-info

audit: environment      ## check every pin of the locks for published advisories (api.osv.dev)
	@scripts/audit

bench: environment      ## time and memory from export to plan; speed of a load compared with a plain client
	@exec $(PYTHON_HERE) -m tests.bench

fuzz: environment       ## FUZZ_EXAMPLES=5000 random inputs for every property of parsers and delivery, and damaged exports
	@exec $(PYTHON_HERE) -m pytest -m hypothesis tests/include/parsers tests/include/test_ids.py \
	    tests/include/delivery/test_machine.py --hypothesis-profile=fuzz

faults: environment     ## a load under every fault, into the stand-in: messages lost, doubled, out of order
	@exec $(PYTHON_HERE) -m tests.bench.faults

recall: environment selfhosted  ## load one history in several layouts, ask each the same questions [LOCOMO=locomo10.json]
	@exec $(PYTHON_HERE) -m tests.recall --kinds $${LOCOMO:+--locomo "$$LOCOMO"}

.env:                   ## settings and random secrets for Docker Compose, from .env.example
	@scripts/dotenv

clean:                  ## remove the environments and caches; keeps .local with the ledger
	rm -rf dist .venv* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@scripts/environment

selfhosted:
	@scripts/environment selfhosted
