"""What it costs to handle one genome of the CNN: deep copy and pickle, against a memcpy of as many bytes.

Run it with ``python benchmarks/genome.py``; medians of many repeats in one process.
"""

import copy
import pickle
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import run

from deap_nn import Individual, Layout, initScaled

SHAPES = ((5, 5, 1, 32), (32,), (5, 5, 32, 64), (64,), (3136, 1024), (1024,), (1024, 10), (10,))
REPEATS = 31


def median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    layout = Layout(tuple(map(str, range(len(SHAPES)))), SHAPES)
    individual = initScaled(Individual, layout, rng=np.random.default_rng(1))
    individual.fitness.values = (0.5,)
    source = individual.flat
    target = np.empty_like(source)
    content = pickle.dumps(individual, pickle.HIGHEST_PROTOCOL)
    rows = {
        "memcpy into memory in use": median_ms(lambda: np.copyto(target, source)),
        "copy into new memory (ndarray.copy)": median_ms(source.copy),
        "copy.deepcopy": median_ms(lambda: copy.deepcopy(individual)),
        "pickle.dumps": median_ms(lambda: pickle.dumps(individual, pickle.HIGHEST_PROTOCOL)),
        "pickle.loads": median_ms(lambda: pickle.loads(content)),
    }
    rows["copy.deepcopy over memcpy"] = rows["copy.deepcopy"] / rows["memcpy into memory in use"]
    rows["bytes of the pickle over those of the weights"] = len(content) / source.nbytes
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a genome of the CNN")
