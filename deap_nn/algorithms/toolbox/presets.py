"""The usual settings of an algorithm, the usual step of an evolution strategy, and the former functions for presets."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from deap_nn.algorithms.toolbox.settings import SETTINGS, WIDEST, canonical
from deap_nn.core.arguments import check_choice, check_count, check_flag
from deap_nn.operators.adaptation.feedback import ErrorScaled
from deap_nn.operators.adaptation.schedules import Annealed

UNPROJECTED: dict[str, dict[str, Any]] = {
    "ga": {"sigma": 0.1, "scale": "fan_in"},
    "es": {"sigma": 0.5, "final_sigma": 0.05, "scale": "fan_in"},
}
"""The values that differ without projected steps (docs/results/es.md)."""

AS_THEY_ARE: dict[str, Any] = {"centred": False, "stratified": False, "projected": False}
FOR_OTHER_MODELS: dict[str, dict[str, Any]] = {
    "ga": {"parents": 0.25, "opposites": 0.0, "spread": 1.0} | AS_THEY_ARE | UNPROJECTED["ga"],
    "es": AS_THEY_ARE,
}
"""The values that differ for a network of a user's own: the others were measured with the networks of `MODELS` alone,
and with opposites some runs of small regressions diverge (docs/operators.md)."""

SPREADS = {"independent": 48.0, "mirrored": 24.0}
"""The constant of `usual_step` for each kind of sampling."""

PROJECTED = 6.25
"""The factor of the constant for projected steps: the rest of a step, which they leave out, has no errors then."""


def usual_settings(
    algorithm: str, model: str | None, batch_size: int = 64, centred: bool | None = None, projected: bool | None = None
) -> dict[str, Any]:
    """Return the values of an algorithm for a network by name, one of `MODELS`, or for a user's own, None.

    Layers are centred, and steps projected, as given, or else as the algorithm has it where the mini-batch permits it.
    """
    usual = SETTINGS[algorithm] | ({} if model is not None else FOR_OTHER_MODELS.get(algorithm, {}))
    own = usual["centred"] and batch_size > 1
    usual["centred"] = own if centred is None else check_flag("centred", centred)
    own = usual["projected"] and usual["centred"] and batch_size < WIDEST.get(model or "", 0)
    usual["projected"] = own if projected is None else check_flag("projected", projected)
    return usual if usual["projected"] else usual | UNPROJECTED.get(algorithm, {})


def usual_step(
    population: int,
    generations: int,
    matrices: int,
    sampling: Literal["independent", "mirrored"] = "independent",
    *,
    projected: bool = False,
) -> float:
    r"""Return the `step` of an evolution strategy that suits a run: :math:`\sqrt{48\,n/(G\,L)}`.

    A step towards the mean of the chosen members has an error, in proportion to the step and to the inverse root of
    their number. With this step the sum of the errors of all `G` generations does not depend on the numbers of members
    and generations. The 48 was measured (docs/results/es.md), and the 300 in its place for projected steps
    (docs/results/projected.md). Mirrored children have half the number of noise vectors, so their constant is half of
    it.

    Parameters
    ----------
    population, generations : int
        `n` members and `G` generations, each at least 1.
    matrices : int
        `L`, the number of weight matrices that a sample passes in sequence, at least 1; biases are not counted.
    sampling : {"independent", "mirrored"}
        As `make_toolbox` takes it.
    projected : bool
        Whether steps are projected.

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
    check_choice("sampling", sampling, tuple(SPREADS))
    constant = SPREADS[sampling] * (PROJECTED if projected else 1.0)
    return float(np.sqrt(constant * population / (generations * matrices)))


def preset(name: str, *, population: int, generations: int, matrices: int) -> dict[str, Any]:
    """Return the arguments of `make_toolbox` for an algorithm. Deprecated: `make_toolbox` takes ``preset=name``.

    Parameters
    ----------
    name : {"ga", "es", "article"}
        The algorithm.
    population, generations, matrices : int
        As for `usual_step`.

    Raises
    ------
    ValueError
        If no algorithm has this name, or a number is not an integer of at least 1.
    """
    warnings.warn(f"preset() is deprecated: make_toolbox takes preset={name!r}", DeprecationWarning, stacklevel=2)
    step = usual_step(population, generations, matrices)
    usual = usual_settings(canonical(name), None)  # these hold for all models
    chosen = {key: value for key, value in usual.items() if key == "scale" or value is not None}
    schedule, sigma, share = (chosen.pop(key, None) for key in ("schedule", "sigma", "final_sigma"))
    chosen["sigma"] = ErrorScaled(sigma) if schedule == "error" else Annealed(sigma, share * sigma, generations)
    chosen["parents"] = max(chosen.pop("fewest"), round(chosen["parents"] * population))
    if "step" in chosen:
        chosen["step"] = step
    return chosen


def __getattr__(name: str) -> Any:
    if name != "PRESETS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("PRESETS is deprecated: make_toolbox takes preset='ga'", DeprecationWarning, stacklevel=2)
    usual = {name: usual_settings(name, None) for name in SETTINGS}
    others = {name: {key: value for key, value in usual[name].items() if key != "fewest"} for name in usual}
    return {"default": others["es"]} | others
