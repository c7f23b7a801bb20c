"""The operators, small genomes and populations for their tests, and how far a count may be from its mean."""

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import deap_nn
from deap_nn import Individual

KINDS = ("init", "cx", "mut", "sel")


class Operator(NamedTuple):
    name: str
    kind: str
    function: Any


OPERATORS = [
    Operator(name, kind, getattr(deap_nn, name))
    for name in deap_nn.__all__
    for kind in KINDS
    if name.startswith(kind) and name != "initPopulation"  # it calls a registered initialisation
]

SHAPES = ((3, 4), (4,), (2, 2, 2, 3), (1,))

ANY_SHAPES = st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=5).map(tuple)
SEVERAL_BLOCKS = ((130, 130), (), (7,), (200, 201), (3,))


def size_of(shapes):
    return sum(int(np.prod(shape)) for shape in shapes)


def genome(seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return Individual([rng.standard_normal(shape) for shape in shapes])


def population(size=8):
    members = [genome(i) for i in range(size)]
    for i, member in enumerate(members):
        member.fitness.values = ((i * 5) % size,)
    return members


def beyond_five_sigma(count, expected, probability):
    """Whether a binomial count of so many trials is further than five deviations from its mean."""
    return abs(count - expected * probability) > 5 * math.sqrt(expected * probability * (1 - probability))
