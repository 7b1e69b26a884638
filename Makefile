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
	doctor clean help

help:
	@sed -n 's/^# make/make/p' Makefile; \
	echo "make setup | doctor | test-slow | faults | benchmark | gpu-check"; \
	echo "make lint | format | docs | clean"

setup:
	@tools/setup.sh

demo: setup
	@$(BIN)/python tools/demo.py $(if $(IMAGES),--images $(IMAGES))

# Two workers; a module's tests stay together, so that they share fixtures.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope --durations=25

test-slow: setup
	$(BIN)/python -m pytest --durations=25 -m slow

# mmpose's own tests under gtpt_mm, a quarter of an hour; see docs/zoo.md.
test-mmpose: setup
	$(BIN)/python tools/mmpose_suite.py $(or $(MMPOSE),$(error MMPOSE=CHECKOUT of mmpose v1.3.2 is missing))

# The shared folder's faults and bad inputs, half an hour; SCRIPTS chooses some.
faults: setup
	$(BIN)/python tests/faults/run.py $(SCRIPTS)

# The tables of docs/benchmarks.md, half an hour; ONLY chooses some runs.
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

clean:
	rm -rf $(VENV) work_dirs/demo data/demo build dist *.egg-info
	rm -rf projects/pose_samples/build projects/pose_samples/*.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find gtpt_mm tests tools projects -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
