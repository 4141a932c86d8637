# Everything a checkout can do. The first call makes .venv from the hashed requirements; later calls
# reuse it until a requirement or pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

FUZZ_CASES ?= 1000000
FUZZ_SECONDS ?= 600
FUZZ_SEED ?=
MODEL_SCHEDULES ?= 1000000
MODEL_SEED ?=

FAULTS ?=

.PHONY: demo test thorough interop faults check fuzz model lock clean

demo: $(STAMP)
	$(BIN)/causeway demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not interop and not thorough"

thorough: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "thorough and not interop"

interop: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m interop

# Every fault experiment, three rounds: some hours. FAULTS="1 2 --rounds 1" runs some of them.
faults: $(STAMP)
	$(BIN)/causeway bench faults $(FAULTS)

check: $(STAMP)
	ops/check

# The readers against each other: FUZZ_CASES mutated stanzas, then coverage-guided for FUZZ_SECONDS,
# then a twentieth of the cases with the compiled reader's memory watched.
# FUZZ_SEED repeats a run.
fuzz: $(STAMP)
	$(PIP) install --quiet --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz.campaign --cases $(FUZZ_CASES) --seconds $(FUZZ_SECONDS) \
		$(if $(FUZZ_SEED),--seed $(FUZZ_SEED))
	$(BIN)/python -m tests.fuzz.sanitized --cases $$(($(FUZZ_CASES) / 20)) \
		$(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# The lanes protocol by its model (tests/model): MODEL_SCHEDULES at random on all processors.
# MODEL_SEED repeats a run.
model: $(STAMP)
	$(BIN)/python -m tests.model.campaign --schedules $(MODEL_SCHEDULES) \
		$(if $(MODEL_SEED),--seed $(MODEL_SEED))

$(STAMP): requirements/dev.txt requirements/build.txt pyproject.toml $(wildcard router/xmpp/reader/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; PYTHON=... names one")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements/build.txt -r requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

# Pins what resolves today; needs uv on the PATH. Commit what it writes.
lock:
	echo 'setuptools>=77' | $(LOCK) - -o requirements/build.txt
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --extra dev --constraint requirements/run.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra fuzz --constraint requirements/run.txt -o requirements/fuzz.txt

clean:
	rm -rf $(VENV) build dist *.egg-info router/xmpp/reader/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find router workers bench tests -type d -name __pycache__ -prune -exec rm -rf {} +
