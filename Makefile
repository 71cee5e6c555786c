# Everything a checkout needs. Nothing is asked of the machine but Python 3.11 or newer with its venv module, and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_OPTIONS ?=

.PHONY: help demo spoofing test test-floor lint format docs bench clean

help:
	@echo "make demo        two services call each other over mutual TLS; every check shown to accept and to refuse"
	@echo "make spoofing    everybody who might pass for somebody else behind a proxy, every way to try, every format: a table"
	@echo "make test        the tests (PYTEST_OPTIONS='-k name' narrows them)"
	@echo "make test-floor  the tests with the oldest supported versions of the dependencies"
	@echo "make lint        ruff, mypy --strict, import contracts"
	@echo "make docs        the documentation, into docs/_build/html"
	@echo "make bench       the measurements behind every figure in the docs"

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@touch $@

# One stamp a set of tools, so that the demo does not wait for the tests' dependencies.
$(VENV)/with-%: $(VENV)/made pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group $*
	@touch $@

demo: $(VENV)/with-demo
	$(BIN)/python examples/service_to_service/demo.py

spoofing: $(VENV)/with-test
	$(BIN)/python -m tests.spoofing

test: $(VENV)/with-test
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

test-floor:
	$(MAKE) VENV=$(VENV)-floor $(VENV)-floor/made
	$(VENV)-floor/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group test --constraint tests/floor.txt
	$(VENV)-floor/bin/python -m pytest $(PYTEST_OPTIONS)

lint: $(VENV)/with-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/lint-imports

format: $(VENV)/with-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/with-docs
	$(BIN)/sphinx-build -n -W --keep-going -b html docs docs/_build/html
	$(BIN)/sphinx-build -W -b doctest docs docs/_build/doctest

bench: $(VENV)/with-test
	$(BIN)/python benchmarks/decision.py
	$(BIN)/python benchmarks/crl.py
	$(BIN)/python benchmarks/forwarded.py

clean:
	rm -rf .venv .venv-* build dist *.egg-info docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
