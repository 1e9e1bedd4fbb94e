# Two commands do everything on a fresh machine: `make demo` and `make test`. Both own the virtual environment.
# `make native-test` builds and runs the C++ tests; SANITIZE=address,undefined or SANITIZE=thread checks them more.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SANITIZE :=
NATIVE_BUILD := build/native-$(or $(SANITIZE),test)
JOBS := $(or $(shell nproc 2>/dev/null),2)
NATIVE := $(shell find native CMakeLists.txt -type f 2>/dev/null)

.PHONY: demo test native-test check format clean

demo: $(STAMP)
	$(BIN)/signbit demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

native-test: $(BIN)/cmake
	$(BIN)/cmake -S . -B $(NATIVE_BUILD) -DSIGNBIT_PYTHON=OFF -DSIGNBIT_TESTS=ON -DSIGNBIT_SANITIZE=$(SANITIZE) $(ARGS)
	$(BIN)/cmake --build $(NATIVE_BUILD) --parallel $(JOBS)
	$(BIN)/ctest --test-dir $(NATIVE_BUILD) --output-on-failure

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $$(find native -name '*.cpp' -o -name '*.h')
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $$(find native -name '*.cpp' -o -name '*.h')

# Without the stamp's prerequisites: the C++ tests need no reinstalled package after every change of a source.
$(BIN)/cmake:
	$(MAKE) $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(NATIVE)
	@echo "Setting up $(VENV) (a few minutes the first time)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build
