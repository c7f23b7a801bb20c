"""The map of a made toolbox, which scores small networks in groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from deap_nn.process.workers import worker_count

SHARES = 4
"""The least number of groups for each worker, if there are enough individuals: all then end at about the same time."""


class grouping:  # noqa: N801  (used as a function)
    """Return a map that sends the individuals of a toolbox's ``evaluate`` in groups, if that changes no bit.

    `make_toolbox` registers its map so. A small network alone takes less time to score than its task to send.

    Parameters
    ----------
    func : callable
        A map, such as one of `open_map`. It maps all other functions unchanged.

    Examples
    --------
    >>> from deap_nn import grouping, make_toolbox
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> toolbox.register("map", grouping(map))
    >>> len(list(toolbox.map(toolbox.evaluate, toolbox.population(n=3))))
    3
    """

    def __init__(self, func: Callable[..., Iterable[Any]]) -> None:
        self.func = func  # by this name the kind of a map is found, as that of a partial call

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's results, in the order of the map."""
        from deap_nn.problems.evaluate import Evaluate  # here: it imports TensorFlow

        bare = function.func if isinstance(function, partial) and not (function.args or function.keywords) else function
        if not isinstance(bare, Evaluate) or not bare.most_together or len(iterables) != 1:
            return self.func(function, *iterables)
        individuals, workers = list(iterables[0]), worker_count(self.func)
        most = bare.most_together
        size = most if workers == 1 else max(1, min(most, -(-len(individuals) // (SHARES * workers))))
        groups = [individuals[start : start + size] for start in range(0, len(individuals), size)]
        found = self.func(partial(Evaluate.together, bare), groups)  # SCOOP sends no bound method
        answers = itertools.chain.from_iterable(found)
        return list(answers) if isinstance(found, list) else answers
