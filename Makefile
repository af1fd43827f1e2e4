# All a fresh machine needs: Python 3.11 or later, a C compiler, make.
#   make demo    a whole session with everything simulated, and its report
#   make test    the whole suite: lint, an installed wheel, on checked kernels, on the real ones without Qt, the screens
#   make bench   every benchmark, with its peers measured in the same run
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
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

# What a step adds to the environment: an extra, read from the package that is installed already, so that the kernels
# are not built again.
ADD = $(BIN)/python -m pip install --quiet

.PHONY: demo test test-fast test-checked test-without-qt test-screens test-wheel test-long fuzz mutants \
  mutants-touched lint bench docs screenshots clean install

demo: $(READY) $(if $(DISPLAY)$(WAYLAND_DISPLAY),$(VENV)/.ready-screens)
	$(BIN)/neurofb demo $(if $(DISPLAY)$(WAYLAND_DISPLAY),--screens) $(DEMO)

# Each step runs whatever the one before it said; the last line names those that failed. Lint and wheel need one
# processor each, and the demo that CI adds (BESIDE) mostly waits: they run side by side.
BESIDE ?=
BY_TURNS := test-checked test-without-qt test-screens
test: $(DEV)
	@failed=; \
	$(MAKE) --no-print-directory --keep-going --output-sync=target -j3 lint test-wheel $(BESIDE) || \
	  failed=" one of lint, test-wheel $(BESIDE)"; \
	for step in $(BY_TURNS); do $(MAKE) --no-print-directory $$step || failed="$$failed $$step"; done; \
	if [ -n "$$failed" ]; then echo "== failed:$$failed =="; exit 1; fi; echo "== all passed =="

test-fast: $(DEV)
	$(PYTEST) -n $(WORKERS)

# The same kernels, with every index tested, installed beside the real ones.
test-checked: $(DEV)
	@echo "== the suite on kernels with every index checked =="
	rm -rf build/checked
	NEUROFB_CHECKED=1 $(BIN)/python -m pip install --quiet --no-deps --target build/checked .
	PYTHONPATH=build/checked NEUROFB_CHECKED=1 $(PYTEST) -q -n $(WORKERS) $(KERNEL_ROOMS)

# Everything but the screens works where there is no Qt.
test-without-qt: $(DEV)
	@echo "== the suite without Qt =="
	$(BIN)/python -m pip uninstall --quiet --yes $(QT) 2>/dev/null
	$(PYTEST) -n $(WORKERS) --ignore=tests/screens

test-screens: $(DEV)
	@echo "== the screens =="
	$(ADD) "neurofb[screens,test-screens]"
	QT_QPA_PLATFORM=offscreen $(PYTEST) -n $(WORKERS) tests/screens

# What others install: a wheel made from the sdist, in an environment of its own, away from the checkout.
test-wheel: $(DEV)
	@echo "== an installed wheel =="
	rm -rf build/wheel && mkdir -p build/wheel/elsewhere
	$(BIN)/python -m build --outdir build/wheel . >build/wheel/build.log || { tail -20 build/wheel/build.log; exit 1; }
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/python -m pip install --quiet build/wheel/*.whl
	cd build/wheel/elsewhere && ../env/bin/neurofb --version && ../env/bin/neurofb demo --fast

# Minutes instead of seconds: what is short above, at length.
test-long: $(DEV)
	NEUROFB_LONG=1 $(PYTEST) --timeout 3600 tests/xdf/test_file.py tests/recording/test_crash.py tests/recording/test_labrecorder.py \
	  tests/screens/test_demo_with_screens.py -k "ten_minutes or kill or labrecorder or demo"
	NEUROFB_LONG=1 $(PYTEST) --timeout 3600 tests/blinding/test_allocation.py tests/blinding/test_blind_audit.py
	NEUROFB_LONG=1 $(PYTEST) --timeout 3600 tests/acquisition/test_large_files.py tests/offline/test_played_chain.py

fuzz: $(DEV)
	@echo "== schedules of night $(NIGHT): make fuzz NIGHT=$(NIGHT) draws them again =="
	NEUROFB_FUZZ=40 NEUROFB_FUZZ_NIGHT=$(NIGHT) $(PYTEST) --timeout 3600 tests/stimulation/test_guard.py \
	  -k "no_schedule or nor_does_it or several"
	NEUROFB_DRIVER_SCHEDULES=2000 $(PYTEST) --timeout 3600 tests/stimulation/test_every_driver.py -k no_schedule
	NEUROFB_SESSIONS=2000 $(PYTEST) --timeout 3600 tests/engine/test_whole_sessions.py -k drawn_session
	NEUROFB_FUZZ=1 $(PYTEST) --timeout 3600 tests/offline/test_rerun.py -k any_byte
	NEUROFB_FUZZ=20 $(PYTEST) --timeout 3600 tests/acquisition/test_file_properties.py

# Small wrong changes, one at a time: do the tests notice? All of stimulation/, then 20 of each other module; hours.
mutants: $(DEV)
	$(BIN)/python tests/mutants/try_mutants.py --log build/mutants.jsonl
	$(BIN)/python tests/mutants/try_mutants.py --others --sample 20 --seed $(NIGHT) --log build/mutants.jsonl

# The same for the lines of stimulation/ that differ from a commit: two minutes, and a second where none does.
SINCE ?= HEAD~1
mutants-touched: $(DEV)
	@echo "== mutants of what differs from $(SINCE) in stimulation/ =="
	$(BIN)/python tests/mutants/try_mutants.py --since $(SINCE) --at-most $(MUTANTS) --most-s 100

lint: $(DEV)
	$(ADD) "neurofb[screens]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(DEV)
	$(ADD) "neurofb[bench,screens]"
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(ADD) "neurofb[docs]"
	$(BIN)/mkdocs build --strict

screenshots: $(READY)
	$(ADD) "neurofb[screens]"
	QT_QPA_PLATFORM=offscreen $(BIN)/python tests/screens/shots.py docs/img

install: $(READY)

# One environment, made again when what it is made from changes.
$(READY): pyproject.toml setup.py $(KERNELS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neurofb needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "== making $(VENV) =="; $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv failed. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 2; }; }
	@echo "== building the kernels and installing neurofb into $(VENV); the first time takes a minute or two =="
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

# What an extra needs is added to it.
$(VENV)/.ready-%: $(READY)
	@echo "== adding what neurofb[$*] needs =="
	$(ADD) "neurofb[$*]"
	@touch $@

clean:
	rm -rf build dist site $(VENV) src/neurofb/_kernels.c src/neurofb/*.so src/*.egg-info
