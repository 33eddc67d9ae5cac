# Two commands for a newcomer: `make demo` and `make test`. Needs Python 3.11+ and make; everything else is made here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Tests that only compute: they share two processes, which the ones with servers and browsers must not.
PURE := $(addprefix tests/,alerts judge laws model rules simulator site twin)

.PHONY: demo test faults setup servers lint types unit check wheel screenshots scoreboard clean

demo: $(VENV)/.installed          ## the whole service with simulated households, on this machine only
	$(BIN)/mimamori demo $(ARGS)

setup: $(VENV)/.installed         ## installs into .venv and nothing else

test: $(VENV)/.installed-test servers lint types check unit wheel   ## everything that has to be green

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit("mimamori needs Python 3.11 or newer; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $(VENV)/.installed $@

servers:                          ## the real servers that tests talk to, from the system's packages
	sh .ci/servers

lint: $(VENV)/.installed-test
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.installed-test
	$(BIN)/mypy

check: $(VENV)/.installed-test    ## the content and every rule's examples
	$(BIN)/mimamori check

unit: $(VENV)/.installed-test
ifdef ARGS
	$(BIN)/pytest -ra $(ARGS)
else
	$(BIN)/pytest -ra -n 2 --dist loadfile $(PURE)
	$(BIN)/pytest -ra $(addprefix --ignore=,$(PURE)) tests
endif

faults: $(VENV)/.installed-test servers   ## a hundred kills and other faults on purpose; about fifteen minutes
	MIMAMORI_FAULT_ROUNDS=$${MIMAMORI_FAULT_ROUNDS:-100} $(BIN)/pytest -rA -m 'faults or server' tests/faults $(ARGS)

wheel: $(VENV)/.installed-test    ## sdist -> wheel -> a clean environment elsewhere -> mimamori check
	sh .ci/wheel

scoreboard: $(VENV)/.installed    ## docs/scoreboard.md: our rules beside others' on simulated and recorded homes; takes minutes
	$(BIN)/mimamori scoreboard $(ARGS)

screenshots: $(VENV)/.installed-test servers   ## pictures of the main pages from a short demo, in the folder screenshots
	$(BIN)/python .ci/screenshots screenshots

clean:
	rm -rf $(VENV) dist data .pytest_cache .mypy_cache .ruff_cache .hypothesis
