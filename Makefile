# `make` says what there is. Every target makes the environment it needs, and only when it needs to.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo gallery test test-all test-browser test-tl3 lint notebooks notebooks-html notebooks-sync bench clean venv venv-tl3

PYTHON ?= python3
export PYTHON
# More arguments for pytest or the benchmarks: make test ARGS="-k positions", make bench ARGS=--quick
ARGS ?=
# Two workers, each with one thread for its matrix products: left alone, PyTorch starts a thread a
# core in every worker, and threads that wait for each other's core are slower than one alone.
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -n $(WORKERS) --dist loadgroup

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

demo: venv  ## Make, apply, measure and draw a steering vector on the embedded model
	@echo "Running the demo."
	@.venv/bin/workbench demo

gallery: venv  ## Make every figure on the embedded model, on one page
	@echo "Making the gallery."
	@.venv/bin/workbench gallery

test: venv  ## Run the tests, without the slow ones
	@echo "Running the tests, without the slow ones."
	@$(call PYTEST,.venv) -m "not slow" $(ARGS)

test-all: venv  ## Run every test
	@echo "Running every test."
	@$(call PYTEST,.venv) $(ARGS)

test-browser: venv  ## Run notebook 1 and the explorer in a browser (SCREENSHOTS=folder keeps pictures)
	@echo "Driving JupyterLab in a browser."
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest tests/explorer -m browser -rs $(ARGS)

test-tl3: venv-tl3  ## Run the core tests under TransformerLens 3.9
	@echo "Running the core tests under TransformerLens 3.9."
	@$(call PYTEST,.venv-tl3) -m tl3 $(ARGS)

lint: venv  ## Check format, style, types and which room uses which
	@echo "Checking format, style, types and which room uses which."
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/mypy
	@.venv/bin/lint-imports

notebooks: venv  ## Open the notebooks in JupyterLab
	@echo "Opening the notebooks."
	@.venv/bin/jupyter lab notebooks

notebooks-html: venv  ## Run every notebook and write it with its outputs to out/notebooks/
	@echo "Running the notebooks: about half an hour on two cores."
	@PLOTLY_RENDERER=notebook .venv/bin/jupyter nbconvert --to html --execute \
		--output-dir out/notebooks notebooks/*.ipynb

notebooks-sync: venv  ## Bring notebooks and their percent scripts into step: the newer one counts
	@.venv/bin/jupytext --sync notebooks/*.ipynb

bench: venv  ## Measure what we claim about speed and memory
	@echo "Running the benchmarks."
	@.venv/bin/python -m benchmarks $(ARGS)

clean:  ## Remove environments, caches, out/ and build leftovers (downloaded models stay)
	@echo "Removing environments, caches, out/ and build leftovers."
	@rm -rf .venv .venv-tl3 .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@rm -rf out build dist *.egg-info
	@find . -name .git -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-prune -exec rm -rf {} +

venv:
	@scripts/venv.sh .venv constraints.txt -e '.[dev]'

venv-tl3:
	@scripts/venv.sh .venv-tl3 constraints-tl3.txt -e '.[test]' 'transformer-lens==3.9.0'
