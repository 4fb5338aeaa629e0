# Two commands matter: `make demo` and `make test`. Everything they need goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch first and exactly: where a CPU build is at hand it is taken, and nothing later replaces it.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo run test test-unit lint format simulate image clean

demo: $(VENV)/.installed
	$(BIN)/comment-consumer demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# No Docker, no brokers: seconds.
test-unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not container and not broker" $(PYTEST_ARGS)

simulate: $(VENV)/.installed-test
	$(BIN)/python -m tests.simulation --schedules 20000

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict consumer schemas

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) torch==2.13.0
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) torch==2.13.0
	$(INSTALL) --editable ".[test]"
	touch $@ $(VENV)/.installed

# Needs Docker; see deploy/README.md. IMAGE_ARGS are for docker build, such as --build-arg EXTRAS=registry,parquet.
image:
	docker build --file deploy/Dockerfile --tag comment-consumer $(IMAGE_ARGS) .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
