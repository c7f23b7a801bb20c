"""Runs in which sizes that follow from the machine are set: those of tasks, of keyframes and of the cache."""

import contextlib
import math
from unittest import mock

import deap_nn


def in_groups(size):
    """Return the sizes of tasks of `size` members."""

    def sizes(members, workers, **known):
        return [size] * (members // size) + [members % size] * bool(members % size)

    return sizes


MADE = {
    "group_size": ("breeding.dispatch.group_sizes", in_groups),
    "keyframe_weights": ("algorithms.resuming.KEYFRAME_WEIGHTS", lambda value: math.inf if value is None else value),
    "keyframe_bytes": ("algorithms.resuming.KEYFRAME_BYTES", lambda value: value),
    "cache": ("breeding.lineage.default_place", lambda value: lambda: value),
    "cache_size": ("breeding.lineage.free_bytes", lambda value: lambda place: value),
}
"""By name: what is replaced, and by what for a value. No keyframe is made if ``keyframe_weights`` is None."""


@contextlib.contextmanager
def limited(**limits):
    """Set sizes in the body."""
    with contextlib.ExitStack() as stack:
        for name, value in limits.items():
            place, made = MADE[name]
            stack.enter_context(mock.patch(f"deap_nn.{place}", made(value)))
        yield


def evolve(population, toolbox, ngen, **options):
    """Run ``deap_nn.evolve`` within limits that are among the options."""
    with limited(**{name: options.pop(name) for name in MADE.keys() & options.keys()}):
        return deap_nn.evolve(population, toolbox, ngen, **options)
