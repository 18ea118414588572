# One verb per question. Each sets up what it needs once, in virtual environments inside the checkout: `.venv`, and
# `.venv-dvsim` for DVSim, whose pins are its own. A stamp per verb is renewed when pyproject.toml changes.
#
# Programs are started as `python -m`, never by the scripts in an environment: their first line breaks in a path with
# spaces.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:  # two installations into one environment at a time would spoil it

PYTHON ?= python3
ARGS ?=
FILE ?= examples/rtl/regression.toml
N ?=
SEED ?=

VENV := .venv
DVSIM_VENV := .venv-dvsim
PY := $(VENV)/bin/python
INSTALL := -m pip install -q --disable-pip-version-check

# Which extras a verb needs.
EXTRAS_run := cli,re2,examples
EXTRAS_nights := cli,re2,html,serve,examples
EXTRAS_test := test
EXTRAS_test-browser := browser
EXTRAS_check := check
EXTRAS_types := types
EXTRAS_bench := bench
EXTRAS_notes := notes
EXTRAS_docs := docs

# Tests marked `root` need root, so they are deselected for an ordinary user; those marked `slurm` or
# `gridengine` start a cluster, those marked `browser` a browser, those marked `wheel` install packages, and each of these has
# a verb of its own.
MARKS := -m "not slurm and not gridengine and not browser and not wheel$(if $(filter 0,$(shell id -u)),, and not root)"

# Most tests wait for processes and timers, so four workers are none too many for two processors, and idle ones take tests from
# busy ones. A verb that measures, or that shares one cluster, has one. ARGS=-n0 runs the tests in one process, as a debugger needs it.
WORKERS := -n 4 --dist worksteal

# Tests start the command line some thousand times. Where PYTHONDONTWRITEBYTECODE is set, each start would compile all modules.
COMPILE := -m compileall -q runtime tests

# Workers leave compiled tests to each other and to the next run: see tests/conftest.py.
test: export PYTHONDONTWRITEBYTECODE :=

# For tests that run DVSim's own classes, and benchmarks that measure it, from whatever directory.
test test-oldest test-slurm cov bench mutants campaign: export DVSIM_PYTHON := $(CURDIR)/$(DVSIM_VENV)/bin/python

# Checks of the interpreter: one line says what is missing and how to install it. They run only when there is something to set up.
define need_python
@command -v "$(PYTHON)" >/dev/null || { echo >&2 "There is no '$(PYTHON)'. Install Python 3.11 or later \
(Debian: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python3"; exit 1; }
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 "'$(PYTHON)' is no Python 3.11 \
or later. Name one: make PYTHON=/path/to/python3"; exit 1; }
@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 "'$(PYTHON)' cannot make virtual environments. \
Install its venv package (Debian: apt install python3-venv)"; exit 1; }
endef


.PHONY: help
help: ## list these verbs
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  PYTHON=python3.12 chooses the interpreter; ARGS='...' is passed on by run, test, cov, bench, instructions, campaign"
	@echo "  and shape."
	@echo "  FILE=examples/rtl/broken.toml chooses the job file of run."

.PHONY: run
run: simulator $(VENV)/stamp-run ## build and simulate the example, a real RTL regression
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m runtime run "$(FILE)" $(ARGS)

.PHONY: nights
nights: simulator $(VENV)/stamp-nights ## play two nights of a regression into the directory nights, for docs/morning.md
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh examples/rtl/two_nights.sh nights

.PHONY: test
test: $(VENV)/stamp-test $(DVSIM_VENV)/stamp ## run the tests
	@$(PY) $(COMPILE)
	@$(PY) -m pytest $(WORKERS) $(MARKS) $(ARGS)

.PHONY: test-slurm
test-slurm: $(VENV)/stamp-test $(DVSIM_VENV)/stamp ## run the tests that need a real Slurm, which they start; as root
	@$(PY) $(COMPILE)
	@$(PY) -m tests.slurm check
	@$(PY) -m pytest -m slurm $(ARGS)

# In a network namespace of its own, as the daemons of Grid Engine listen at all addresses.
.PHONY: test-gridengine
test-gridengine: $(VENV)/stamp-test ## run the tests that need a real Grid Engine, which they start; as root
	@$(PY) $(COMPILE)
	@unshare --net -- $(PY) -m pytest -m gridengine $(ARGS)

.PHONY: test-browser
test-browser: $(VENV)/stamp-test-browser build/axe/axe.min.js ## run the tests of pages in a browser, which is Debian's
	@$(PY) -m pytest -m browser tests/browser $(ARGS)

.PHONY: slurm-up
slurm-up: $(VENV)/stamp-test ## start a real Slurm of two nodes on this machine, and print how to use it; as root
	@$(PY) -m tests.slurm up

.PHONY: slurm-down
slurm-down: $(VENV)/stamp-test ## end it, with all its jobs
	@$(PY) -m tests.slurm down

.PHONY: check
check: $(VENV)/stamp-check ## lint, formatting, types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy --strict

# Helpers have no site-packages, so that a script which measures stands in for their interpreter, in a run of the tests that are about
# them: it takes five times as long to start. Some tests alone, chosen by ARGS, have no floor.
HELPER_TESTS := tests/backend/test_containment.py tests/backend/test_shim_files.py tests/verdict/test_worker.py
.PHONY: cov
cov: $(VENV)/stamp-test $(DVSIM_VENV)/stamp ## run the tests, report which branches of the package they miss, and hold a floor
	@$(PY) $(COMPILE)
	@$(PY) -m coverage erase
	@$(PY) -m coverage run -m pytest $(WORKERS) $(MARKS) $(ARGS)
	@$(if $(ARGS),,JOB_RUNTIME_PYTHON="$(CURDIR)/tests/measured/python" $(PY) -m coverage run -m pytest $(WORKERS) $(MARKS) $(HELPER_TESTS))
	@$(PY) -m coverage combine -q
	@$(PY) -m coverage report $(if $(ARGS),--fail-under=0)

.PHONY: test-oldest
test-oldest: $(VENV)/stamp $(DVSIM_VENV)/stamp ## run the tests with the oldest dependencies that are allowed, in .venv-oldest
	@"$(PYTHON)" -m venv .venv-oldest
	@$(PY) -m tools.oldest >.venv-oldest/constraints.txt
	@.venv-oldest/bin/python $(INSTALL) -c .venv-oldest/constraints.txt -e '.[test]'
	@.venv-oldest/bin/python -m pytest $(WORKERS) $(MARKS) $(ARGS)

.PHONY: test-wheel
test-wheel: $(VENV)/stamp-test ## build the sdist and the wheel, and test each in an empty environment, outside of the checkout
	@$(PY) -m tools.check_dists $(ARGS)

# One file per worker, as each has an environment of its own; to make one may take minutes, which is no hang.
.PHONY: try-wheel
try-wheel: $(VENV)/stamp-test ## build the wheel and use it as a user does: the tutorial, DVSim, prove, packages of others
	@$(PY) -m pytest -v -n 2 --dist loadfile -o faulthandler_timeout=600 -m wheel tests/wheel $(ARGS)

.PHONY: notes
notes: $(VENV)/stamp-notes ## show the notes of the next release; ARGS=--yes puts them into CHANGELOG.md
	@$(PY) -m towncrier build --version "$$($(PY) -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')" $(or $(ARGS),--draft)

.PHONY: bench
bench: $(VENV)/stamp-bench $(DVSIM_VENV)/stamp ## measure; ARGS=--quick for a first idea
	@$(PY) -m benchmarks $(ARGS)

.PHONY: instructions
instructions: $(VENV)/stamp-bench ## count instructions per job, and compare with the recorded figures
	@$(PY) -m benchmarks.instructions $(ARGS)

.PHONY: mutants
mutants: $(VENV)/stamp-test $(DVSIM_VENV)/stamp ## plant bugs and check that the tests catch each; N=5 for five of them
	@$(PY) $(COMPILE)
	@$(PY) -m tests.mutants $(N)

.PHONY: campaign
campaign: $(VENV)/stamp-test $(DVSIM_VENV)/stamp ## long random runs, N of them, ARGS=launchers for some, recorded in docs/measured; SEED=1 repeats one
	@mkdir -p docs/measured
	@seed="$(SEED)"; seed="$${seed:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"; \
	record="docs/measured/campaign-$$(date -u +%Y%m%dT%H%M%SZ).txt"; \
	echo "seed $$seed, recorded in $$record"; \
	$(PY) -m tests.campaigns --seed "$$seed" $(if $(N),--count $(N)) $(ARGS) 2>&1 | tee "$$record"

.PHONY: types
types: $(VENV)/stamp-types ## check that the types of the package are complete, so that all type checkers see the same
	@$(PY) -m tools.check_types

.PHONY: docs
docs: $(VENV)/stamp-docs ## build the documentation as a site, in build/docs; a warning is an error
	@$(PY) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

.PHONY: shape
shape: $(VENV)/stamp ## figures about how hard the package is to maintain; ARGS='--baseline ../old/runtime' compares
	@$(PY) tools/shape.py $(ARGS)

.PHONY: clean
clean: ## remove environments, caches and results
	@rm -rf .venv .venv-dvsim .venv-oldest .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov build dist
	@rm -rf results examples/rtl/results nights
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +


# What the verbs need.

$(VENV)/stamp-%: pyproject.toml | $(VENV)/stamp
	@echo "Installing what 'make $*' needs into $(VENV), once."
	@$(PY) $(INSTALL) -e '.[$(EXTRAS_$*)]'
	@touch $@

# What looks for faults of pages that keep people out, for tests alone. npm is asked for the file of the package, and runs nothing.
build/axe/axe.min.js: Makefile
	@command -v npm >/dev/null || { echo >&2 "There is no npm, which gets axe-core. Install it (Debian: apt install npm)"; exit 1; }
	@mkdir -p build/axe
	@cd build/axe && npm pack --silent --ignore-scripts axe-core@4.14.1 >/dev/null && tar -xzf axe-core-4.14.1.tgz --strip-components=1 package/axe.min.js
	@touch $@

$(VENV)/stamp:
	$(need_python)
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

# The tests of DVSim are in its source distribution alone.
$(DVSIM_VENV)/stamp: pyproject.toml
	$(need_python)
	@echo "Installing DVSim into $(DVSIM_VENV), once."
	@"$(PYTHON)" -m venv $(DVSIM_VENV)
	@$(DVSIM_VENV)/bin/python $(INSTALL) -e '.[dvsim-tests]' 'coverage>=7.10,<8'
	@version=$$($(DVSIM_VENV)/bin/python -c 'from importlib.metadata import version; print(version("dvsim"))'); \
	$(DVSIM_VENV)/bin/python -m pip download -q --disable-pip-version-check --no-deps --no-binary dvsim \
		--dest $(DVSIM_VENV)/sdist "dvsim==$$version"
	@touch $@

.PHONY: simulator
simulator:
	@command -v "$${CXX:-c++}" >/dev/null || { echo >&2 "There is no C++ compiler '$${CXX:-c++}', which the simulation \
	is built with. Install one (Debian: apt install g++)"; exit 1; }
	@perl -MPod::Usage -e 1 2>/dev/null || { echo >&2 "There is no complete perl, which Verilator is started with. \
	Install it (Debian: apt install perl)"; exit 1; }
