# make demo: install, then train, transfer, film and report one worm.
# make test: install, then every check.
# make docs: the pages, into site/; a warning is an error.
# On Linux, PyPI's torch is a CUDA build of gigabytes. Nothing here needs it; for the CPU build:
#     make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
TORCH_INDEX ?=
# The reference is read from a folder of the package's name, which a clone need not have.
pages = link=$$(mktemp -d) && ln -s $(CURDIR) $$link/nervecord && \
	PYTHONPATH=$$link NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q; code=$$?; rm -r $$link; exit $$code

.PHONY: demo test docs install bench clean

demo: $(VENV)/.installed
	$(BIN)/nervecord demo $(RUN)

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	MUJOCO_GL=disable $(BIN)/python -m pytest -q -n auto --dist loadfile
	$(call pages)

docs: $(VENV)/.installed-docs
	$(call pages)

bench: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[bench]"
	$(BIN)/nervecord bench

install: $(VENV)/.installed

# torch first and by its exact version, so that nothing after it brings another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[test]"
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps cect  # its files are read; it is not imported
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
