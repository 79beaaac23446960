# Everything that a person or a machine does with this checkout. `make help` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run up env test lint format mypy unit tests-e2e tests-of-parts bench scale-test prove images docs dist dist-test lock install clean

MAPPING ?= customers
WORKFLOW ?=
PARAMS ?= {}
PROFILES ?=
# More than there are cores: tests wait for sockets and processes for a third of their time.
JOBS ?= $(shell expr $$(nproc) + 1)
export PYTHON MAPPING WORKFLOW PARAMS

VENV := .venv/bin
CODE := plugins/ometria_provider dags scripts tests docs/examples
LAUNCH := $(VENV)/python scripts/local.py

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

run: install ## Run a mapping for real and print its report: MAPPING=customers PARAMS='{"dry_run": true}'; or WORKFLOW=reward_claimed
	@$(LAUNCH) run

up: install ## Start Airflow's UI, scheduler, workers and the sandbox on 127.0.0.1 until Ctrl-C
	@$(LAUNCH) up

env: ## Write .env for docker-compose.yaml, once, with random secrets: PROFILES=celery,sandbox,s3
	@python3 scripts/env_file.py $(PROFILES)

test: lint mypy unit ## Run all that a change must pass

lint: install-dev ## Check style and format
	$(VENV)/ruff format --check $(CODE)
	$(VENV)/ruff check $(CODE)

format: install-dev ## Bring the code into shape
	$(VENV)/ruff format $(CODE)
	$(VENV)/ruff check --fix $(CODE)

mypy: install-dev ## Check types
	MYPYPATH=scripts:plugins $(VENV)/mypy -n 2 -p ometria_provider -p launcher -p reference

unit: install-dev ## Run the tests, JOBS=3 at a time: PYTEST='-k name' chooses some
ifdef PYTEST
	$(VENV)/pytest $(PYTEST)
else
	@$(MAKE) --no-print-directory --jobs 2 tests-e2e tests-of-parts
endif

# Both at once: those of a real Airflow mostly wait. What they say comes in one piece, when they have ended.
tests-e2e:
	@echo "Starting the tests of a real Airflow, too: what they say comes when they have ended."
	@$(VENV)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m e2e --durations 15 --durations-min 5 tests/e2e > .venv/e2e.log 2>&1; \
		code=$$?; cat .venv/e2e.log; exit $$code

tests-of-parts:
	$(VENV)/pytest -n $(JOBS) --dist worksteal -m "not e2e" --durations 15 --durations-min 5

bench: install-dev ## Measure the figures of docs/performance.md, each beside its baseline: BENCH='--quick --only cpu'
	$(VENV)/python -m tests.benchmarks $(BENCH)

scale-test: install-dev ## A million members, faults, many accounts, upgrades; writes docs/scale.md: SCALE='--only members,faults --members 100000'
	@sh scripts/scale_test.sh $(SCALE)

prove: install-dev ## Meet every fault and kill every task at every step, and write docs/reliability.md
	$(VENV)/python scripts/prove.py -n $(JOBS)

images: install-dev ## Take the pictures of docs/images anew, from a real Airflow
	OMETRIA_IMAGES=docs/images $(VENV)/pytest -m e2e tests/e2e/test_pages.py

docs: install-dev ## Write the generated pages anew
	$(VENV)/python scripts/docs.py

dist: install-dev ## Build sdist and wheel into dist/, the same bytes every time, and check them
	@sh scripts/dist.sh

dist-test: dist ## Install the wheel into fresh Airflows, the locked one and the newest, and sync into a sandbox there: AIRFLOW='locked 3.4.0b2'
	@.venv/bin/python scripts/clean_install.py $(AIRFLOW)

lock: ## Resolve pyproject.toml into requirements*.txt; what fits stays: LOCK=--upgrade takes the newest
	@sh scripts/lock.sh $(LOCK)

install: ## Install what `make run` needs into .venv
	@sh scripts/install.sh run

install-dev:
	@sh scripts/install.sh dev

clean: ## Remove caches and the local Airflow; .venv stays
	rm -rf .local .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find plugins dags scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
