# All a fresh machine needs: Python 3.11 or later, a C compiler, make.
#   make test    the whole suite, on checked kernels and on the real ones
#   make bench   every benchmark, with its peers measured in the same run
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= dev
READY := $(VENV)/.ready-$(EXTRAS)
KERNELS := src/neurofb/_kernels.pyx
PYTEST := $(BIN)/python -m pytest

.PHONY: test test-fast test-checked lint bench clean install

test: lint test-checked test-fast

test-fast: $(READY)
	$(PYTEST)

# The same suite on kernels that test every index, installed beside the real ones.
test-checked: $(READY)
	@echo "== the suite on kernels with every index checked =="
	rm -rf build/checked
	NEUROFB_CHECKED=1 $(BIN)/python -m pip install --quiet --no-deps --target build/checked .
	PYTHONPATH=build/checked NEUROFB_CHECKED=1 $(PYTEST) -q

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: EXTRAS = bench,dev
bench:
	$(MAKE) EXTRAS=bench,dev install
	$(BIN)/python -m benchmarks

install: $(READY)

# One environment, made again when what it is made from changes.
$(READY): pyproject.toml setup.py $(KERNELS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neurofb needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "== making $(VENV) =="; $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv failed. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 2; }; }
	@echo "== building the kernels and installing neurofb[$(EXTRAS)] into $(VENV) =="
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf build dist $(VENV) src/neurofb/_kernels.c src/neurofb/*.so src/*.egg-info
