# Two commands do all the set-up themselves: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.complete
LOCKS := requirements/uv.txt requirements/freehold.txt
# Commands and workers start in a third of the time from byte code that is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check types collection setup setup-tests packages sweep life life-faults lock clean

demo: setup                ## from nothing to a verified private S3 endpoint
	$(VENV)/bin/freehold demo

test: setup-tests check    ## all tests, the lab's included; folders of tests side by side
	$(VENV)/bin/pytest -n 5

check: $(STAMP)            ## format, lint, types, and whether all tests can be read
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(MAKE) --no-print-directory -j 2 types collection

types:
	$(VENV)/bin/mypy -n 2

# In a fresh environment this also makes the byte code, once instead of in each of the processes.
collection:
	$(VENV)/bin/pytest --collect-only -q > $(VENV)/collection.txt || { tail -n 40 $(VENV)/collection.txt; exit 1; }

setup: packages $(STAMP)   ## everything that the demo needs and this computer lacks
	scripts/fetch-programs

setup-tests: setup
	scripts/setup --tests

packages:
	scripts/setup

sweep: setup               ## every step killed and aborted, in the lab (long)
	$(VENV)/bin/python -m tests.sweep

life: setup-tests          ## an instance changes in the lab under a counting client (takes the computer for itself)
	FREEHOLD_LIFE=1 $(VENV)/bin/pytest tests/services/object_storage/test_change_in_lab.py -x -s

life-faults: setup         ## the same with servers, workers, disks and cables that fail (long)
	$(VENV)/bin/python -m tests.life --json benchmarks/results/life-faults.json

$(STAMP): $(LOCKS) pyproject.toml | packages
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip sync --quiet --require-hashes $(LOCKS)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $(STAMP)

lock: $(STAMP)             ## newest versions into the lock files
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/uv.in -o requirements/uv.txt
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements/freehold.txt

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
