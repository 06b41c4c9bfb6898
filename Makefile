# make demo   a real prompt, decoded wholly in RTL
# make test   every test, proof and check
# make check  formatting, lint, types, import order
# make docs   the site, in build/site
# make validate   the model against the RTL on 40 configurations drawn by chance: a table

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two BLAS threads fight each other and the simulator for two cores.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test check docs validate tools baseline areas clean

demo: $(VENV)/installed
	$(BIN)/neardecode model fetch smollm2-135m
	$(BIN)/neardecode decode --config decoder-demo --prompt "The capital of France is" --tokens 16

test: check
	$(BIN)/neardecode model fetch smollm2-135m
	$(BIN)/pytest --numprocesses auto --dist worksteal -q --durations 20

check: $(VENV)/installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

validate: $(VENV)/installed
	$(BIN)/neardecode project --validate --seed 1 --points 40

# Renews the committed cycle counts; review the difference.
baseline: $(VENV)/installed
	$(BIN)/python -m tests.baseline

# Renews the committed areas, of all blocks; review the difference. The tests check the small ones.
areas: $(VENV)/installed
	$(BIN)/python -m tests.areas

tools:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer, or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: say make PYTHON=python3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@command -v g++ >/dev/null || { echo "g++ is missing: the simulators are compiled with it (Debian: apt install g++)" >&2; exit 1; }
	@command -v perl >/dev/null || { echo "perl is missing: Verilator runs on it (Debian: apt install perl)" >&2; exit 1; }

$(VENV)/installed: pyproject.toml | tools
	@echo "installing into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable . --group dev --group docs
	@touch $@

clean:
	rm -rf $(VENV) build dist
