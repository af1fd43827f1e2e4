# All a fresh machine needs: Python 3.11 or later, a C compiler, make.
#   make demo    a whole session with everything simulated, and its report
#   make test    the whole suite: lint, on checked kernels, on the real ones without Qt, the screens, an installed wheel
#   make bench   every benchmark, with its peers measured in the same run
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= dev
READY := $(VENV)/.ready-$(EXTRAS)
KERNELS := src/neurofb/_kernels.pyx
PYTEST := $(BIN)/python -m pytest
# Tests of both processors' worth; each worker has LSL ports of its own.
WORKERS ?= 2
DEMO ?=
# Rooms that call the kernels; the others give the same with both.
KERNEL_ROOMS := $(addprefix tests/,dsp features loop spatial)
# The most that `make mutants-touched` tries; and what the draws of `make fuzz` and `make mutants` start from.
MUTANTS ?= 100
NIGHT ?= $(shell date +%Y%m%d)
QT := PySide6-Essentials shiboken6 pyqtgraph pytest-qt

.PHONY: demo test test-fast test-checked test-without-qt test-screens test-wheel test-long fuzz mutants \
  mutants-touched lint bench docs screenshots clean install

demo: EXTRAS = $(if $(DISPLAY)$(WAYLAND_DISPLAY),screens)
demo:
	@$(MAKE) --no-print-directory EXTRAS=$(EXTRAS) install
	$(BIN)/neurofb demo $(if $(DISPLAY)$(WAYLAND_DISPLAY),--screens) $(DEMO)

test: lint test-checked test-without-qt test-screens test-wheel

test-fast: $(READY)
	$(PYTEST) -n $(WORKERS)

# The same kernels, with every index tested, installed beside the real ones.
test-checked: $(READY)
	@echo "== the suite on kernels with every index checked =="
	rm -rf build/checked
	NEUROFB_CHECKED=1 $(BIN)/python -m pip install --quiet --no-deps --target build/checked .
	PYTHONPATH=build/checked NEUROFB_CHECKED=1 $(PYTEST) -q -n $(WORKERS) $(KERNEL_ROOMS)

# Everything but the screens works where there is no Qt.
test-without-qt: $(READY)
	@echo "== the suite without Qt =="
	$(BIN)/python -m pip uninstall --quiet --yes $(QT) 2>/dev/null
	$(PYTEST) -n $(WORKERS) --ignore=tests/screens

test-screens: $(READY)
	@echo "== the screens =="
	$(BIN)/python -m pip install --quiet -e ".[screens,test-screens]"
	QT_QPA_PLATFORM=offscreen $(PYTEST) tests/screens

# What others install: a wheel made from the sdist, in an environment of its own, away from the checkout.
test-wheel: $(READY)
	@echo "== an installed wheel =="
	rm -rf build/wheel && mkdir -p build/wheel/elsewhere
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir build/wheel . >build/wheel/build.log || { tail -20 build/wheel/build.log; exit 1; }
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/python -m pip install --quiet build/wheel/*.whl
	cd build/wheel/elsewhere && ../env/bin/neurofb --version && ../env/bin/neurofb demo --fast

# Minutes instead of seconds: what is short above, at length.
test-long: $(READY)
	NEUROFB_LONG=1 $(PYTEST) --timeout 3600 tests/xdf/test_file.py tests/recording/test_crash.py tests/recording/test_labrecorder.py \
	  tests/screens/test_demo_with_screens.py -k "ten_minutes or kill or labrecorder or demo"
	NEUROFB_LONG=1 $(PYTEST) --timeout 3600 tests/acquisition/test_large_files.py tests/offline/test_played_chain.py

fuzz: $(READY)
	@echo "== schedules of night $(NIGHT): make fuzz NIGHT=$(NIGHT) draws them again =="
	NEUROFB_FUZZ=20 NEUROFB_FUZZ_NIGHT=$(NIGHT) $(PYTEST) --timeout 3600 tests/stimulation/test_guard.py \
	  -k "no_schedule or nor_does_it or several"
	NEUROFB_SESSIONS=2000 $(PYTEST) --timeout 3600 tests/engine/test_whole_sessions.py -k drawn_session
	NEUROFB_FUZZ=1 $(PYTEST) --timeout 3600 tests/offline/test_rerun.py -k any_byte
	NEUROFB_FUZZ=20 $(PYTEST) --timeout 3600 tests/acquisition/test_file_properties.py

# Small wrong changes, one at a time: do the tests notice? All of stimulation/, then 20 of each other module; hours.
mutants: $(READY)
	$(BIN)/python tests/mutants/try_mutants.py --log build/mutants.jsonl
	$(BIN)/python tests/mutants/try_mutants.py --others --sample 20 --seed $(NIGHT) --log build/mutants.jsonl

# The same for the lines of stimulation/ that differ from a commit: minutes, and seconds where none does.
SINCE ?= HEAD~1
mutants-touched: $(READY)
	$(BIN)/python tests/mutants/try_mutants.py --since $(SINCE) --at-most $(MUTANTS)

lint: $(READY)
	$(BIN)/python -m pip install --quiet -e ".[screens]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench:
	$(MAKE) EXTRAS=bench,dev install
	$(BIN)/python -m pip install --quiet -e ".[screens]"
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	$(BIN)/mkdocs build --strict

screenshots: $(READY)
	$(BIN)/python -m pip install --quiet -e ".[screens]"
	QT_QPA_PLATFORM=offscreen $(BIN)/python tests/screens/shots.py docs/img

install: $(READY)

# One environment, made again when what it is made from changes.
$(READY): pyproject.toml setup.py $(KERNELS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neurofb needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "== making $(VENV) =="; $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv failed. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 2; }; }
	@echo "== building the kernels and installing neurofb$(if $(EXTRAS),[$(EXTRAS)]) into $(VENV); the first time takes a minute or two =="
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".$(if $(EXTRAS),[$(EXTRAS)])"
	@touch $@

clean:
	rm -rf build dist site $(VENV) src/neurofb/_kernels.c src/neurofb/*.so src/*.egg-info
