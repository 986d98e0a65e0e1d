# make demo: install, then train, transfer, film and report one worm.
# make test: install, then the checks that take minutes.
# make test-slow: the tests that `make test` leaves out: kills, Ray, examples, whole reproductions; types on Windows.
# make test-all: both, in one run of the tests; with -j2, the checks before it side by side.
# make test MARK="not release": what .ci/run runs: slow tests too, but for those that take longest.
# make docs: the pages, into site/; a warning is an error.
# make notebooks: run the notebooks anew and keep what they show.
# make wheels: which platforms can install what, into docs/platforms.md.
# Python 3.11 to 3.14: python3 if it is one of them, else the newest that is there.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
# On Linux, PyPI's torch is a CUDA build of gigabytes. Nothing here needs it, so the CPU build is preferred where its
# index can be reached; `make demo TORCH_INDEX=` takes PyPI's build instead.
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu)
# The reference is read from a folder of the package's name, which a clone need not have.
pages = link=$$(mktemp -d) && ln -s $(CURDIR) $$link/nervecord && \
	PYTHONPATH=$$link NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q; code=$$?; rm -r $$link; exit $$code

# Modules are compiled as they are first imported, which most of what is installed never is. What is compiled is kept, also
# where the environment, as that of a container, says otherwise: each process would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
install := $(BIN)/python -m pip install -q --no-compile
tests = MUJOCO_GL=disable $(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-all lint types types-on-windows pages docs notebooks install bench wheels clean

demo: $(VENV)/.installed
	$(BIN)/nervecord demo $(RUN)

test: lint types pages
	$(tests) $(if $(MARK),-m "$(MARK)") tests

test-slow: types-on-windows
	$(tests) -m slow tests

test-all: types types-on-windows pages lint
	$(tests) -m "" tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(VENV)/.installed-test
	$(BIN)/mypy .

# No machine of ours runs Windows.
types-on-windows: $(VENV)/.installed-test
	$(BIN)/mypy . --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy tests --config-file tests/windows.ini --cache-dir .mypy_cache/tests > .mypy_cache/tests.txt; test $$? -lt 2
	! grep "Module has no attribute" .mypy_cache/tests.txt

pages: $(VENV)/.installed-test
	$(call pages)

docs: $(VENV)/.installed-docs
	$(call pages)

notebooks: $(VENV)/.installed
	$(install) -c constraints.txt -e ".[notebook]"
	$(BIN)/python tools/notebooks.py

bench: $(VENV)/.installed
	$(install) -c constraints.txt -e ".[bench]"
	$(BIN)/nervecord bench

wheels: $(VENV)/.installed
	$(install) -c constraints.txt -e ".[release]"
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python tools/wheels.py --write

install: $(VENV)/.installed

# torch first and by its exact version, so that nothing after it brings another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.14 here; install one, or name it: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(install) $(if $(TORCH_INDEX),--retries 1 --extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(install) -c constraints.txt -e .
	$(BIN)/python -c "import av, nervecord.cli.main, nervecord.videos.films"  # compiled now, so that a first film starts sooner
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(install) -c constraints.txt -e ".[test]"
	$(install) -c constraints.txt --no-deps cect wormneuroatlas  # their files are read
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(install) -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
