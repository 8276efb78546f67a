# Every target sets up what it needs; the second one is quick.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export MPLBACKEND = Agg

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow check format bench notebooks docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment

# uv installs in seconds; where it is not to be had, pip does the same in a minute or two.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; then \
	    echo "installing with uv"; \
	    $(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[dev]' -c constraints.txt; \
	else \
	    echo "installing with pip"; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt; \
	fi
	@touch $(READY)

demo: $(READY) ## train on the sample CRM, score its newest leads, explain one, draw the pages
	@mkdir -p demo
	$(BIN)/propensity train
	$(BIN)/propensity score data/sample/new_leads.csv -o demo/scores.csv --as-of 2026-06-25 --html demo/leads.html
	$(BIN)/propensity report data/sample/new_leads.csv -o demo/report.html --as-of 2026-06-25
	$(BIN)/propensity explain data/sample/new_leads.csv --lead L01904 --as-of 2026-06-25 --plot demo/L01904.png
	@echo && head -n 3 demo/scores.csv && echo && echo "Scores: demo/scores.csv. To look at: demo/report.html, demo/leads.html. Plots and summary: models/reports/"

# A file stays with one worker: its tests share what they trained.
PYTEST := $(BIN)/python -m pytest -q -n auto --dist loadfile

test: $(READY) ## run the tests (the slow ones: make slow)
	$(PYTEST)

slow: $(READY) ## run the slow tests: other environments, notebooks
	$(BIN)/python -m pytest -q -m slow

check: $(READY) ## lint, types, floors, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

format: $(READY) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## measure quality and speed (real files: PROPENSITY_DATA=folder)
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/features.py

notebooks: $(READY) ## run the notebooks and keep their output
	$(BIN)/python notebooks

docs: $(READY) ## write the reference from the code and build the site into site/
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -e '.[docs]' -c constraints.txt || \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]' -c constraints.txt
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict --quiet

lock: $(READY) ## pin the newest versions that work together
	$(BIN)/python -m uv pip compile --quiet --extra dev --python-version 3.11 --no-header --no-annotate \
	    --no-emit-index-url --output-file constraints.txt pyproject.toml

clean: ## remove what was built; models/ and data/ stay
	rm -rf $(VENV) build dist demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
