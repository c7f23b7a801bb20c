"""The algorithms as types: each setting with its default, its unit and its allowed values."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import (
    Option,
    check_choice,
    check_count,
    check_fields,
    is_finite,
    is_whole,
    one_of,
    real,
    whole,
    yes_or_no,
)
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.operators.adaptation import (
    Adaptation,
    Annealed,
    Constant,
    ErrorScaled,
    OneFifth,
    SelfAdaptive,
    is_adaptation,
)
from deap_nn.operators.by_name import CROSSOVERS, CrossoverName
from deap_nn.operators.crossover import MOST_MATES
from deap_nn.operators.initialisation import SCALES
from deap_nn.problems.keras_problem import KerasProblem

if TYPE_CHECKING:
    import keras

MODELS = ("mnist_deep", "lenet5", "mlp")
"""The names of the built-in models."""

FEWEST = 10
"""The least number of parents of a genetic algorithm by a share: fewer lose the founders' variety too soon."""

SCHEDULES = ("error", "linear", "geometric", "constant", "one-fifth", "self-adaptive")
ENDING = ("linear", "geometric", "one-fifth", "self-adaptive")
"""The schedules of sigma, and those with a sigma at the end, or a smallest one."""


def _share_or_number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _is_share_or_number(value: Any) -> bool:
    return value >= 1 if is_whole(value) else is_finite(value) and 0 < value <= 1


def _is_scale(value: Any) -> bool:
    if isinstance(value, str):
        return value in SCALE_NAMES
    return isinstance(value, Sequence | np.ndarray) and all(is_finite(factor) and factor >= 0 for factor in value)


SCALE_NAMES = ("none", *SCALES)
_SHARE = "an integer of at least 1, or a share above 0 and up to 1"

Fitness = Annotated[
    Literal["error", "cross_entropy"] | None, one_of("minimised: rate or nats", "error", "cross_entropy")
]
Init = Literal["scaled", "normal"]
Sigma = Annotated[
    float | Adaptation | None,
    Option(
        "first sigma of mutation",
        f"a number from 0 to {LARGEST_WEIGHT:g}",
        float,
        lambda value: is_adaptation(value) or (is_finite(value) and 0 <= value <= LARGEST_WEIGHT),
        "X",
    ),
]
Schedule = Annotated[str | None, one_of("rule by which sigma changes", *SCHEDULES)]
FinalSigma = Annotated[float | None, real("sigma at the end, or the smallest [--sigma / 4 or 20]", 0, LARGEST_WEIGHT)]
Scale = Annotated[
    str | Sequence[float] | NDArray[Any] | None,
    Option(
        "unit of sigma",
        f"{', '.join(SCALE_NAMES[:-1])} or {SCALE_NAMES[-1]}",
        str,
        _is_scale,
        f"{{{','.join(SCALE_NAMES)}}}",
        names=SCALE_NAMES,
    ),
]
Centred = Annotated[bool | None, yes_or_no("centre dense layers")]
Stratified = Annotated[bool | None, yes_or_no("all classes in each batch")]
Projected = Annotated[bool | None, yes_or_no("steps along inputs of layers")]
Casewise = Annotated[bool | None, yes_or_no("steps of layers by cases")]
CaseStep = Annotated[float | None, real("step of layers by cases [30, of error rates 15]", 1e-6, 999_999)]
Spread = Annotated[float | None, real("distance of founders, 1: unrelated", 0, 1)]
Parents = Annotated[
    float | None,
    Option("parents, a number or a share of all", _SHARE, _share_or_number, _is_share_or_number, "N"),
]
Mates = Annotated[int | None, whole("parents of a child by mask or average", 2, MOST_MATES)]
Crossover = Annotated[CrossoverName, one_of("operator that combines the parents", *CROSSOVERS)]
Pressure = Annotated[float, real("pressure of linear ranking, 1 to 2", 1, 2)]
Boost = Annotated[float, real("draw the best X times as often", 0.001, 1e9)]
Opposites = Annotated[float | None, real("share of opposites among parents", 0, 0.5)]
FeaturesEvery = Annotated[int | None, whole("generations between mutations of first layers [4]", 1, 999_999)]
Step = Annotated[float | None, real("step of the centre [by members and generations]", 1e-6, 999_999)]

Kind = TypeVar("Kind", bound="Algorithm")


@dataclass(frozen=True)
class Algorithm:
    """The settings that all algorithms have. A setting of None is decided by `resolved`.

    Parameters
    ----------
    fitness : {"error", "cross_entropy"}, optional
        The quantity to minimise on labelled data: the error rate, or the mean cross-entropy in nats. A `KerasProblem`
        has its own. None: the cross-entropy, or the loss of a compiled model.
    init : {"scaled", "normal"}
        The first weights, by `initScaled` or `initNormal`, unless weights are given.
    sigma : float or Adaptation, optional
        The first mutation step size, in units of `scale`; an adaptation is copied, and takes the place of `schedule`
        and `final_sigma`.
    schedule : {"error", "linear", "geometric", "constant", "one-fifth", "self-adaptive"}, optional
        The rule by which sigma changes: `ErrorScaled`, `Annealed` in two forms, `Constant`, `OneFifth`, `SelfAdaptive`.
    final_sigma : float, optional
        The sigma at the end of an annealed schedule, or the smallest one.
    scale : {"none", "fan_in", "widest", "fixed"} or sequence of float, optional
        The factor of sigma for each matrix: 1; the standard deviation by which `initScaled` draws it; that of the
        matrix with the largest fan-in; or 1/16.
    centred : bool, optional
        Whether to score with centred layers; a `KerasProblem` has its own.
    stratified : bool, optional
        Whether each mini-batch has all classes in proportion.
    projected : bool, optional
        Whether under `evolve` the step of the centre, or of the mean of the parents, goes along the inputs that centred
        dense layers have for the mini-batch, and only there.
    casewise : bool, optional
        Whether each sample weighs the children by its own loss for these layers (`step_by_cases`). It needs `projected`
        and a fitness that is a mean over the samples.
    case_step : float, optional
        The step of layers that move by cases. None: 30, or 15 if the fitness is an error rate.
    """

    name: ClassVar[str] = ""

    fitness: Fitness = None
    init: Init = "scaled"
    sigma: Sigma = None
    schedule: Schedule = None
    final_sigma: FinalSigma = None
    scale: Scale = None
    centred: Centred = None
    stratified: Stratified = None
    projected: Projected = None
    casewise: Casewise = None
    case_step: CaseStep = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("init", self.init, ("scaled", "normal"))
        if self.final_sigma is not None and self.schedule is not None and self.schedule not in ENDING:
            needs = f"{', '.join(ENDING[:-1])} or {ENDING[-1]}"
            raise ValueError(f"final_sigma needs a schedule that is {needs}, got {self.schedule}")
        if is_adaptation(self.sigma) and (self.schedule is not None or self.final_sigma is not None):
            raise ValueError("sigma must be a number with a schedule or a final_sigma, got an adaptation")
        sigma, final = self.sigma, self.final_sigma
        if isinstance(sigma, int | float) and final is not None:
            if (final == 0) != (sigma == 0):
                raise ValueError(f"final_sigma must be above 0 if sigma is, got {final!r}")
            if self.schedule in ("one-fifth", "self-adaptive") and final > sigma:
                raise ValueError(f"final_sigma must be at most sigma, {sigma:g}, got {final!r}")
        if self.projected and self.centred is False:
            raise ValueError("projected needs centred layers, whose inputs it takes, got centred=False")
        if self.casewise and (self.projected is False or self.centred is False):
            raise ValueError("casewise needs projected steps of centred layers")

    def _with_scoring(
        self: Kind, model: str | keras.Model | KerasProblem | None, batch_size: int, bounds: tuple[float, float] | None
    ) -> Kind:
        """Return the algorithm with all settings of scoring and of steps along inputs decided."""
        named = is_named(model, bounds)
        centred, projected = self.centred, self.projected
        if centred is None:
            centred = model.centred if isinstance(model, KerasProblem) else named and batch_size > 1
        if projected is None:
            projected = (named or bool(self.casewise)) and centred
        has_cases = not isinstance(model, KerasProblem) or model.casewise
        if self.casewise and not (projected and has_cases):
            raise ValueError("casewise needs projected steps, and a fitness that is a mean over the samples")
        casewise = projected and has_cases if self.casewise is None else self.casewise
        stratified = named if self.stratified is None else self.stratified
        fitness: Fitness = self.fitness or "cross_entropy"
        if isinstance(model, KerasProblem):
            if self.fitness not in (type(self).fitness, model.followed):
                raise ValueError(f"fitness is not for a KerasProblem, which has its own loss, got {self.fitness!r}")
            fitness = model.followed or self.fitness
        decided: dict[str, Any] = {"centred": centred, "stratified": stratified, "projected": projected}
        if casewise and self.case_step is None:
            decided["case_step"] = 15.0 if fitness == "error" else 30.0
        return dataclasses.replace(self, fitness=fitness, casewise=casewise, **decided)

    def _with_sigma(self: Kind, sigma: float, schedule: str, parts: float, scale: str) -> Kind:
        """Return the algorithm with sigma, its schedule and scale decided; the final sigma is one of so many parts."""
        decided: dict[str, Any] = {"scale": scale if self.scale is None else self.scale}
        if not is_adaptation(self.sigma):
            decided["sigma"] = sigma if self.sigma is None else self.sigma
            decided["schedule"] = schedule if self.schedule is None else self.schedule
            if self.final_sigma is None and decided["schedule"] in ENDING:
                decided["final_sigma"] = decided["sigma"] / parts
        return dataclasses.replace(self, **decided)

    def adaptation(self) -> Adaptation:
        """Return a new adaptation of sigma, at its start; the algorithm is a `resolved` one."""
        if is_adaptation(self.sigma):
            found = copy.deepcopy(self.sigma)
            found.reset()  # an earlier run may have used it
            return found
        sigma: Any = self.sigma
        final = self.final_sigma or 0.0
        if self.schedule == "error":
            return ErrorScaled(sigma)
        if self.schedule == "constant" or sigma == 0:
            return Constant(sigma)
        if self.schedule == "one-fifth":
            return OneFifth(sigma, final)
        if self.schedule == "self-adaptive":
            return SelfAdaptive(sigma, final)
        return Annealed(sigma, final, shape="linear" if self.schedule == "linear" else "geometric")


@dataclass(frozen=True)
class GA(Algorithm):
    """A genetic algorithm: parents are drawn by rank, crossed, and mutated by Gaussian noise.

    Parameters
    ----------
    fitness, init, sigma, schedule, final_sigma, scale, centred, stratified, projected, casewise, case_step
        As for `Algorithm`. For a model by name without `bounds`: centred layers, stratified mini-batches and projected
        steps, with a sigma of 0.128 times the error of the best in units of "fixed". Otherwise 0.1 times the error
        in units of "fan_in"; self-adaptive, from 0.1 and at least 0.005, if the fitness is neither an error nor a
        cross-entropy.
    parents : int or float, optional
        As in `selRankBoosted`: a number, or a share of the population that is at least 10. None: half of all with
        opposites, else a quarter.
    mates : int, optional
        The number of parents that are crossed at a time, 2 to 256: two by `cxMask`, more by `cxScanning`, any number by
        "average". DEAP's own loops always cross two. None: four for a mask, else two.
    crossover : {"mask", "biased", "split", "matrices", "units", "average", "none"}
        `cxMask` or `cxScanning` for the number of `mates`, `cxBiased`, `cxSplit`, `cxMatrices`, `cxUnits`, the mean of
        `mates` by `cxMean`, or none.
    pressure, boost, opposites : float
        As in `selRankBoosted`. `opposites` of None: a half for a model by name without `bounds`, under `evolve` only.
    spread : float, optional
        As in `initScaled`. None: a half for a model by name without `bounds`, else 1.
    """

    name: ClassVar[str] = "ga"

    parents: Parents = None
    mates: Mates = None
    crossover: Crossover = "mask"
    pressure: Pressure = 1.5
    boost: Boost = 2.0
    opposites: Opposites = None
    spread: Spread = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mates or 2) > 2 and CROSSOVERS[self.crossover].of_many is None:
            able = " or ".join(name for name, named in CROSSOVERS.items() if named.of_many is not None)
            raise ValueError(f"mates must be 2 if crossover is {self.crossover}, got {self.mates}: more need {able}")
        if self.spread not in (None, 1) and self.init != "scaled":
            raise ValueError(f"spread below 1 is for founders of init='scaled', got {self.spread!r}")

    def resolved(
        self, model: str | keras.Model | KerasProblem | None, batch_size: int, bounds: tuple[float, float] | None = None
    ) -> GA:
        """Return the algorithm with every setting decided for a model, a mini-batch and bounds of the weights.

        A setting of None was measured with the built-in networks; others differ: with opposites, for example, some runs
        of small regressions diverge (docs/operators.md).
        """
        named = is_named(model, bounds)
        found = self._with_scoring(model, batch_size, bounds)
        opposites = (0.5 if named else 0.0) if self.opposites is None else self.opposites
        decided: dict[str, Any] = {"opposites": opposites}
        if self.parents is None:
            decided["parents"] = 0.5 if named else 0.25
        if self.mates is None:
            decided["mates"] = 4 if self.crossover == "mask" else 2
        if self.spread is None:
            decided["spread"] = 0.5 if named and self.init == "scaled" else 1.0
        found = dataclasses.replace(found, **decided)
        followed = model.followed if isinstance(model, KerasProblem) else "error"
        usual = (0.128, "fixed") if found.projected and named else (0.1, "fan_in")
        if followed is None and self.schedule is None:
            usual = (0.1, usual[1])
        return found._with_sigma(usual[0], "self-adaptive" if followed is None else "error", 20, usual[1])


@dataclass(frozen=True)
class Article(GA):
    """The article's settings, as far as they are known, with matrices crossed by a 0/1 mask.

    Parameters
    ----------
    fitness, init, sigma, schedule, final_sigma, scale, centred, stratified, projected, casewise, case_step
        As for `Algorithm`.
    parents, mates, crossover, pressure, boost, opposites, spread
        As for `GA`.
    """

    name: ClassVar[str] = "article"

    fitness: Fitness = "error"
    init: Init = "normal"
    sigma: Sigma = 0.1
    scale: Scale = "none"
    centred: Centred = False
    stratified: Stratified = False
    projected: Projected = False
    casewise: Casewise = False
    parents: Parents = 1.0
    mates: Mates = 2
    pressure: Pressure = 2.0
    boost: Boost = 100.0
    opposites: Opposites = 0.0
    spread: Spread = 1.0


@dataclass(frozen=True)
class ES(Algorithm):
    """An evolution strategy: all children are one centre plus noise, without crossover.

    Parameters
    ----------
    fitness, init, sigma, schedule, final_sigma, scale, centred, stratified, projected, casewise, case_step
        As for `Algorithm`. For a model by name: centred layers, stratified mini-batches and projected steps. Sigma
        falls from 0.4, of error rates from 0.8, to a quarter of it in units of "widest", without projected steps from
        0.5 to a twentieth in units of "fan_in".
    parents : int or float
        The number of the best members that have a recombination weight, and of the worst, or a share of all.
    step : float, optional
        The step of the centre, in units of its distance to the weighted mean of the members. None: `usual_step` for the
        model and the size of the run.
    features_every : int, optional
        The layers before the first one that moves along its inputs, such as convolutions, are mutated only in each
        so many-th generation. In the others all children share what these layers compute, which costs less, and losses
        tell more of the layers after them. None: 4 for a model by name under steps by cases, else 1.
    """

    name: ClassVar[str] = "es"

    parents: Annotated[
        float, Option("best members with a weight, or a share", _SHARE, _share_or_number, _is_share_or_number, "N")
    ] = 0.5
    step: Step = None
    features_every: FeaturesEvery = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule == "self-adaptive" or isinstance(self.sigma, SelfAdaptive):
            raise ValueError("schedule must not be self-adaptive: the children of one centre share one sigma")

    def resolved(
        self, model: str | keras.Model | KerasProblem | None, batch_size: int, bounds: tuple[float, float] | None = None
    ) -> ES:
        """Return the algorithm with every setting but the step decided for a model and a mini-batch.

        Raises
        ------
        ValueError
            If weights have bounds, which would move the centre.
        """
        if bounds is not None:
            raise ValueError(f"bounds need a genetic algorithm: they would move the centre of ES, got {bounds!r}")
        found = self._with_scoring(model, batch_size, bounds)
        if found.features_every is None:
            found = dataclasses.replace(found, features_every=4 if found.casewise and is_named(model, bounds) else 1)
        if found.projected:
            return found._with_sigma(0.8 if found.fitness == "error" else 0.4, "geometric", 4, "widest")
        return found._with_sigma(0.5, "geometric", 20, "fan_in")


ALGORITHMS: Mapping[str, type[GA] | type[ES]] = {kind.name: kind for kind in (GA, ES, Article)}
"""The algorithms by name, the default first."""


def is_named(model: object, bounds: tuple[float, float] | None) -> bool:
    """Return whether a model is a built-in one without bounds of its weights: for these the defaults were measured."""
    return isinstance(model, str) and bounds is None


def usual_step(population: int, generations: int, matrices: int, *, projected: bool = False) -> float:
    r"""Return the `step` of an evolution strategy that suits a run: :math:`\sqrt{48\,n/(G\,L)}`.

    A step towards the mean of the chosen members has an error, in proportion to the step and to the inverse root of
    their number. With this step the sum of the errors of all `G` generations does not depend on the numbers of members
    and generations. The 48 was measured, and the 300 in its place for projected steps: the rest of a step, which they
    leave out, has no errors then.

    Parameters
    ----------
    population, generations : int
        `n` members and `G` generations, each at least 1.
    matrices : int
        `L`, the number of weight matrices that a sample passes in sequence, at least 1; biases are not counted.
    projected : bool
        Whether steps are projected.

    Raises
    ------
    ValueError
        If a number is not an integer of at least 1.

    Examples
    --------
    >>> usual_step(100, 300, 4), usual_step(100, 300, 4, projected=True)
    (2.0, 5.0)
    """
    for name, value in (("population", population), ("generations", generations), ("matrices", matrices)):
        check_count(value, name)
    return float(np.sqrt((300.0 if projected else 48.0) * population / (generations * matrices)))
