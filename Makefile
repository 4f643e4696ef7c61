# `make` lists what there is. Needs Python >= 3.10 with venv and pip, git and make; everything else is installed into .venv.
# Another Python: make test PYTHON=python3.12. Arguments of the command: make search ARGS="--help", make test ARGS="-k sync".
MAKEFLAGS += --no-print-directory
PY := .venv/bin/python
ARGS ?=
CONSTRAINTS ?=
export CONSTRAINTS
# the first interpreter that is new enough
PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo $$p; break; }; done)
# processes of the tests: one for each core and one more, because a seventh of their time is waiting;
# eight at most (make test WORKERS=2)
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2); \
	[ "$$n" -gt 7 ] && n=7; echo $$((n + 1)))
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
setup = @$(if $(PYTHON),$(PYTHON) tools/setup_env.py $(1),echo "Python 3.10 or newer was not found: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1)

.DEFAULT_GOAL := help
.PHONY: help search test lab docs export notebooks gallery checks bench fuzz kills install dev hooks architecture issues release clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | while IFS='|' read -r a b; do printf '%-18s %s\n' "$$a" "$$b"; done

search: install ## search for an architecture (options: make search ARGS="--help")
	@.venv/bin/dnas_search $(ARGS)

test: dev ## run every test: notebooks, synchrony, site
	@$(THREADS) $(PY) -m pytest -n $(WORKERS) $(ARGS)

lab: dev ## open JupyterLab on the notebooks
	@$(PY) -m jupyter lab --notebook-dir=nbs $(ARGS)

docs: dev ## build the documentation site into _docs/
	@$(PY) tools/build_site.py $(ARGS)

export: dev ## write dnas_nb/*.py and README.md from the notebooks
	@$(PY) tools/export.py

notebooks: dev ## execute the notebooks and keep their outputs (some: make notebooks ARGS="nbs/02_ops.ipynb")
	@$(THREADS) $(PY) tools/run_notebooks.py $(ARGS)

gallery: dev ## a short search of every method, drawn on one page (minutes)
	@$(THREADS) $(PY) tools/run_notebooks.py nbs/tutorials/gallery.ipynb

checks: dev ## measure every acceptance check (ARGS=--break: break each formula on purpose)
	@$(THREADS) $(PY) tools/checks.py $(ARGS)

fuzz: dev ## feed 20,000 malformed inputs to every reader (fewer: make fuzz ARGS="--cases 2000")
	@$(THREADS) $(PY) tools/fuzz.py --cases 20000 $(ARGS)

reading: dev ## how package and notebooks read, in figures
	@$(PY) tools/reading.py $(ARGS)

bench: dev ## time a search step, plain and fast (some: make bench ARGS="b --rounds 9")
	@$(THREADS) $(PY) tools/bench.py $(ARGS)

kills: dev ## kill searches, retrainings and studies 200 times, resume and compare (an hour; ARGS="--kills 40")
	@$(THREADS) $(PY) tools/kills.py $(ARGS)

install: ## only install what a search needs
	$(call setup,run)

dev: ## only install what development needs
	$(call setup,dev)

hooks: dev ## install git and Jupyter hooks that keep notebooks clean and mergeable
	@$(PY) -c 'from nbdev.clean import nbdev_install_hooks; nbdev_install_hooks.__wrapped__()'
	@if command -v pre-commit >/dev/null; then pre-commit install; fi

architecture: dev ## draw who imports whom, as architecture.svg (elsewhere: make architecture ARGS=FILE)
	@$(PY) tools/architecture.py $(ARGS)

issues: dev ## list small tasks to begin with, from what chapters say could go wrong
	@$(PY) tools/first_issues.py

release: dev ## is a release ready? Its notes, or what is missing (make release ARGS="--tag v0.2.0")
	@$(PY) tools/release.py $(ARGS)

clean: ## remove the environment, the site and caches
	@rm -rf .venv _docs _proc build dist node_modules .pytest_cache .setup.lock *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
