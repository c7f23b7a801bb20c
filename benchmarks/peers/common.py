"""What the peers share: the networks' shapes, the digits they are scored on, and how they say what they measured."""

import argparse
import importlib.metadata
import json
import time

import numpy as np

CNN = ((5, 5, 1, 32), (32,), (5, 5, 32, 64), (64,), (3136, 1024), (1024,), (1024, 10), (10,))
MLP = ((784, 64), (64,), (64, 10), (10,))
XOR = ((2, 8), (8,), (8, 1), (1,))
SHAPES = {"cnn": CNN, "mlp": MLP, "xor": XOR}
SIGMA = 0.01
PARENTS = 0.1


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=SHAPES)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--generations", type=int, required=True)
    parser.add_argument("--way", default="")
    return parser.parse_args()


def digits():
    """Return a mini-batch of 64 made-up digits and their labels; what they show costs nothing."""
    rng = np.random.default_rng(1)
    return rng.random((64, 28, 28, 1), dtype=np.float32), rng.integers(10, size=64)


def start(shapes, rng):
    """Return random matrices, scaled by their fan-in."""
    return [
        (rng.standard_normal(shape, dtype=np.float32) / np.sqrt(max(1, np.prod(shape[:-1])))).astype(np.float32)
        for shape in shapes
    ]


def timed(step, generations):
    """Return the seconds of each generation."""
    seconds = []
    for _ in range(generations):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    return seconds


def report(options, seconds, packages):
    """Print what was measured as the last line, for `benchmarks/peers.py`."""
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps({"seconds": seconds, "members": options.members, "versions": versions}), flush=True)
