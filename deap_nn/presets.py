"""Settings by name, those that were measured to learn best among them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from deap_nn.adaptation import Annealed, ErrorScaled
from deap_nn.weights import check_count

PRESETS: dict[str, dict[str, Any]] = {
    "default": {
        "fitness": "cross_entropy",
        "init": "scaled",
        "scale": "fan_in",
        "schedule": "geometric",
        "sigma": 0.5,
        "final_sigma": 0.05,
        "parents": 0.5,
        "pressure": 1.5,
        "boost": 1.0,
        "crossover": "mean",
        "mates": None,
        "step": "usual",
        "sampling": "independent",
    },
    "mask": {
        "fitness": "cross_entropy",
        "init": "scaled",
        "scale": "fan_in",
        "schedule": "error",
        "sigma": 0.1,
        "final_sigma": None,
        "parents": 0.1,
        "pressure": 1.5,
        "boost": 1.0,
        "crossover": "mask",
        "mates": 2,
        "step": None,
        "sampling": None,
    },
    "article": {
        "fitness": "error",
        "init": "normal",
        "scale": None,
        "schedule": "error",
        "sigma": 0.1,
        "final_sigma": None,
        "parents": 1.0,
        "pressure": 2.0,
        "boost": 100.0,
        "crossover": "mask",
        "mates": 2,
        "step": None,
        "sampling": None,
    },
}
"""Settings of a run by name: what `make_toolbox` takes, but ``parents`` is a share of the population, ``sigma`` the
first strength of mutation, which falls as ``schedule`` says, ``final_sigma`` a share of it, and a "usual" ``step`` that
of `usual_step`."""


SPREADS = {"independent": 48.0, "mirrored": 24.0}
"""How far the steps of a whole run may go astray, by how children are sampled; see `usual_step`."""


def usual_step(
    population: int, generations: int, matrices: int, sampling: Literal["independent", "mirrored"] = "independent"
) -> float:
    r"""Return a `step` of `make_toolbox` that learns well with "mean": :math:`\sqrt{48\,n/(G\,L)}`.

    A step towards the mean of so many members goes astray too, by as much as the step is long over the root of their
    number. This is the step with which `G` of them go astray together as far as with any other number of members and
    generations; the 48 was measured (docs/results.md). Mirrored children have half as many noises: there it is 24.

    Parameters
    ----------
    population, generations : int
        `n` members and `G` generations, each at least 1.
    matrices : int
        `L`, the weight matrices that a sample passes one after the other, at least 1: biases are none.
    sampling : {"independent", "mirrored"}
        As `make_toolbox` takes it.

    Raises
    ------
    ValueError
        If a number is not an integer of at least 1, or `sampling` is neither.

    Examples
    --------
    >>> usual_step(100, 300, 4), usual_step(200, 300, 4, "mirrored")
    (2.0, 2.0)
    """
    for name, value in (("population", population), ("generations", generations), ("matrices", matrices)):
        check_count(value, name)
    if sampling not in SPREADS:
        raise ValueError(f"sampling must be {' or '.join(map(repr, SPREADS))}, got {sampling!r}")
    return float(np.sqrt(SPREADS[sampling] * population / (generations * matrices)))


def preset(name: str, *, population: int, generations: int, matrices: int) -> dict[str, Any]:
    """Return what `make_toolbox` takes for a run of a preset, which may be changed before it is given.

    With "mask" and "article" mutation is as strong as the error is large: where the fitness is neither an error nor a
    cross-entropy, give another ``sigma`` with them. "article" is for a `KerasProblem` whose ``loss`` is "error".

    Parameters
    ----------
    name : {"default", "mask", "article"}
        All the chosen mated at once, which learns best; two crossed by a mask; the article's settings.
    population, generations : int
        Of the run, each at least 1: how many may be parents, how far to step, and how fast the noise falls go by them.
    matrices : int
        How many weight matrices a sample passes one after the other, at least 1: biases are none.

    Raises
    ------
    ValueError
        If there is no such preset, or a number is not an integer of at least 1.

    Examples
    --------
    >>> settings = preset("default", population=100, generations=300, matrices=4)
    >>> settings["crossover"], settings["parents"], settings["step"], settings["sigma"]
    ('mean', 50, 2.0, Annealed(0.5, 0.025, 300))
    """
    if name not in PRESETS:
        raise ValueError(f"name must be {' or '.join(map(repr, PRESETS))}, got {name!r}")
    step = usual_step(population, generations, matrices)
    chosen = {key: value for key, value in PRESETS[name].items() if key == "scale" or value is not None}
    schedule, sigma, share = (chosen.pop(key, None) for key in ("schedule", "sigma", "final_sigma"))
    chosen["sigma"] = ErrorScaled(sigma) if schedule == "error" else Annealed(sigma, share * sigma, generations)
    chosen["parents"] = max(2, round(chosen["parents"] * population))
    if "step" in chosen:
        chosen["step"] = step
    return chosen
