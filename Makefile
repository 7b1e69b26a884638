# make demo   see GTPT-T train on drawn people, its AP, pictures (10 minutes)
# make test   run the tests
# Both set up .venv first. PYTHON=python3.13 chooses the interpreter.

VENV ?= .venv
BIN := $(VENV)/bin
IMAGES ?=

# Beside other work, threads that wait by spinning cost many times the time.
OMP_WAIT_POLICY ?= PASSIVE
export VENV OMP_WAIT_POLICY
.PHONY: demo test test-slow test-mmpose faults benchmark gpu-check lint format docs setup \
	doctor clean help wheel matrix release-check

help:
	@sed -n 's/^# make/make/p' Makefile; \
	echo "make setup | doctor | test-slow | faults | benchmark | gpu-check"; \
	echo "make lint | format | docs | wheel | matrix | release-check | clean"

setup:
	@tools/setup.sh

demo: setup
	@$(BIN)/python tools/demo.py $(if $(IMAGES),--images $(IMAGES))

# Two workers; a module's tests stay together, so that they share fixtures.
# COVERAGE=1 prints the coverage, for looking: nothing fails by it.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope --durations=25 \
		$(if $(COVERAGE),--cov=gtpt_mm --cov-report=term:skip-covered)

test-slow: setup
	$(BIN)/python -m pytest --durations=25 -m slow

# mmpose's own tests under gtpt_mm, a quarter of an hour; see docs/zoo.md.
test-mmpose: setup
	$(BIN)/python tools/mmpose_suite.py $(or $(MMPOSE),$(error MMPOSE=CHECKOUT of mmpose v1.3.2 is missing))

# The shared folder's faults and bad inputs, half an hour; SCRIPTS chooses some.
faults: setup
	$(BIN)/python tests/faults/run.py $(SCRIPTS)

# The tables of docs/benchmarks.md, 40 minutes; ONLY chooses some runs.
benchmark: setup
	$(BIN)/python tools/make_benchmarks.py $(if $(ONLY),--only $(ONLY))

# Eight minutes on a CUDA machine, see docs/gpu.md; installs nothing.
gpu-check:
	$(or $(wildcard $(BIN)/python),$(PYTHON),python3) tools/gpu_check.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tools/check_configs.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

doctor: setup
	$(BIN)/gtpt-mm doctor

docs:
	@tools/setup.sh --docs
	$(BIN)/mkdocs build --strict --site-dir build/docs
	$(BIN)/python tools/check_site.py build/docs

# Wheel and sdist in dist/, and the wheel tried away from the clone.
wheel: setup
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .
	$(BIN)/python setup.py --quiet sdist --dist-dir dist
	$(BIN)/python -m pytest -q tests/test_end_to_end/test_wheel.py

# Each declared stack in an empty environment: ten minutes and 6 GB each.
matrix: setup
	$(BIN)/python tools/matrix.py $(if $(ROWS),--rows $(ROWS)) $(ARGS)

# Version, CHANGELOG.md and CITATION.cff agree; TAG=v0.2.0 as well.
release-check: setup
	$(BIN)/python tools/release.py $(TAG)

clean:
	rm -rf $(VENV) work_dirs/demo data/demo build dist *.egg-info
	rm -rf projects/pose_samples/build projects/pose_samples/*.egg-info
	rm -rf .cache .coverage .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find gtpt_mm tests tools projects -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
