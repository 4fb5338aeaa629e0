# Two commands matter: `make demo` and `make test`. Everything they need goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch first and exactly: where a CPU build is at hand it is taken, and nothing later replaces it.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

TOOLS := $(VENV)/tools/bin
SUPPLY_CHAIN := deploy/supply-chain
SBOM := sbom.cdx.json

.PHONY: demo run test test-unit lint format simulate image audit sbom clean

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

# Known vulnerabilities of what constraints.txt pins; asks PyPI's advisory database. A package that cannot be looked up
# fails it (--strict): an audit that saw nothing is not a clean one.
audit: $(VENV)/.installed-tools
	$(TOOLS)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off \
		$$(sed -n 's/^\([A-Z][A-Za-z0-9-]*\).*/--ignore-vuln \1/p' $(SUPPLY_CHAIN)/exceptions.txt)

# What is installed for the program, as CycloneDX.
sbom: $(VENV)/.installed $(VENV)/.installed-tools
	$(TOOLS)/cyclonedx-py environment --output-format JSON --spec-version 1.6 --output-reproducible --short-PURLs \
		--pyproject pyproject.toml --output-file $(SBOM) $(BIN)/python

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

# The tools have an environment of their own: nothing of them is in the product's.
$(VENV)/.installed-tools: $(SUPPLY_CHAIN)/tools.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/tools
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
