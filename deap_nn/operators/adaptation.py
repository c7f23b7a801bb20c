"""Adaptations of the mutation step size sigma, and selections that update them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from math import exp
from numbers import Real
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

import numpy as np
from deap import base

from deap_nn.core.arguments import check_choice, check_number, check_positive
from deap_nn.core.errors import WORST, EvaluationError
from deap_nn.core.registered import words_of
from deap_nn.core.seeding import Purpose, seeded, stream
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.operators.ranking import fitness_key

State = Mapping[str, float]


@runtime_checkable
class Adaptation(Protocol):
    """Adapts the mutation step size sigma during a run.

    ``update`` gets the population once a generation; mutation uses ``sigma`` until the next update. ``reset`` restores
    the initial state. ``state`` returns everything that changes, and ``restore`` sets it again.
    """

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise, at least 0."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Adapt to the evaluated `individuals`, which become the parents of `generation`."""

    def reset(self) -> None:
        """Restore the initial state, as at the beginning of a run."""

    def state(self) -> dict[str, float]:
        """Return everything that changes, as numbers by name."""

    def restore(self, state: State) -> None:
        """Set the values that ``state`` returned."""


def is_adaptation(value: object) -> TypeGuard[Adaptation]:
    """Return whether an object has the methods of an `Adaptation`; its ``sigma``, which may be unknown, is not read."""
    methods = ("update", "reset", "state", "restore")
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in methods)


def check_sigma(value: float, name: str) -> float:
    """Return a mutation step size, or raise ValueError if it is negative or not a finite float32."""
    if not 0 <= check_number(value, name) <= LARGEST_WEIGHT:
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}")
    return float(value)


def _evaluated(individuals: Sequence[Any]) -> list[Any]:
    """Return the individuals with a valid fitness, or raise ValueError if there are none."""
    found = [individual for individual in individuals if individual.fitness.valid]
    if not found:
        raise ValueError("individuals must have at least one member with a valid fitness: evaluate them first")
    return found


class _Floored:
    """The common part of the adaptations that keep a sigma of at least a floor from one update to the next."""

    def __init__(self, sigma: float, floor: float) -> None:
        if not 0 < check_sigma(floor, "floor") <= check_sigma(sigma, "sigma"):
            raise ValueError(f"floor must be above 0 and at most sigma, got {floor!r} and {sigma!r}")
        self.first, self.floor = float(sigma), float(floor)
        self._sigma = self.first

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise."""
        return self._sigma

    def _bounded(self, sigma: float) -> float:
        """Return a sigma as a float32 between the floor and the largest weight."""
        return float(np.float32(min(max(sigma, self.floor), LARGEST_WEIGHT)))

    def reset(self) -> None:
        """Restore the initial state."""
        self._sigma = self.first

    def state(self) -> dict[str, float]:
        """Return everything that changes."""
        return {"sigma": self._sigma}

    def restore(self, state: State) -> None:
        """Set the values that ``state`` returned."""
        self._sigma = float(state["sigma"])


class Constant:
    """The same sigma in all generations.

    Parameters
    ----------
    sigma : float
        The standard deviation of the noise, at least 0.

    Examples
    --------
    >>> Constant(0.1).sigma
    0.1
    """

    def __init__(self, sigma: float) -> None:
        self._sigma = check_sigma(sigma, "sigma")

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise."""
        return self._sigma

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Do nothing."""

    def state(self) -> dict[str, float]:
        """Return an empty state."""
        return {}

    def restore(self, state: State) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"Constant({self._sigma})"


class Annealed:
    r"""Sigma changes from an initial to a final value over the generations.

    At generation `g`, with :math:`t = g/G`, sigma is :math:`\sigma_0 (\sigma_1/\sigma_0)^t`, or
    :math:`\sigma_0 + (\sigma_1 - \sigma_0) t` if `shape` is "linear"; it stays at :math:`\sigma_1` after
    generation `G`.

    Parameters
    ----------
    sigma, final : float
        The initial and the final standard deviation, both above 0.
    generations : int, optional
        `G`, at least 1. Default: the number of generations of the run, which `evolve` fills in. DEAP's own loops need
        it here or as ``make_toolbox(generations=...)``.
    shape : {"geometric", "linear"}
        The form of the schedule.

    Examples
    --------
    >>> annealed = Annealed(0.4, 0.1, 2)
    >>> annealed.update([], 1)
    >>> round(annealed.sigma, 3)
    0.2
    >>> linear = Annealed(0.4, 0.1, 2, shape="linear")
    >>> linear.update([], 1)
    >>> linear.sigma
    0.25
    """

    def __init__(
        self,
        sigma: float,
        final: float,
        generations: int | None = None,
        *,
        shape: Literal["geometric", "linear"] = "geometric",
    ) -> None:
        self.first = check_sigma(sigma, "sigma")
        self.final = check_sigma(final, "final")
        if min(self.first, self.final) == 0:
            raise ValueError(f"sigma and final must be above 0, got {sigma!r} and {final!r}")
        if generations is not None and generations < 1:
            raise ValueError(f"generations must be at least 1, got {generations!r}")
        check_choice("shape", shape, ("geometric", "linear"))
        self.generations = None if generations is None else int(generations)
        self.shape = shape
        self._sigma: float | None = self.first

    _of_the_run: int | None = None

    def run_of(self, generations: int | None) -> None:
        """Set the number of generations of the run, at least 0, used as `G` if none was given; None if unknown."""
        self._of_the_run = None if generations is None else max(1, int(generations))

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise.

        Raises
        ------
        ValueError
            After generation 0, if the number of generations is not known.
        """
        if self._sigma is None:
            raise ValueError(
                f"{self!r} needs the number of generations outside evolve: give it as Annealed(..., generations=N) "
                "or make_toolbox(..., generations=N)"
            )
        return self._sigma

    def _at(self, generation: int) -> float | None:
        """Return sigma in a generation; None after generation 0 if the number of generations is not known."""
        length = self.generations or self._of_the_run
        if not generation or length is None:
            return None if generation else self.first
        done = min(generation / length, 1.0)
        if self.shape == "linear":
            return self.first * (1.0 - done) + self.final * done
        return self.first * float((self.final / self.first) ** done)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Set sigma for the generation."""
        self._sigma = self._at(int(generation))

    def reset(self) -> None:
        """Restore the initial sigma."""
        self._sigma = self.first

    def state(self) -> dict[str, float]:
        """Return sigma if it is known, and the number of generations if it is that of the run."""
        of_the_run = self._of_the_run if self.generations is None else None
        state = {"sigma": self._sigma, "generations": of_the_run}
        return {name: value for name, value in state.items() if value is not None}

    def restore(self, state: State) -> None:
        """Set sigma and the number of generations of the run."""
        if "generations" in state:
            self.run_of(int(state["generations"]))
        self._sigma = state.get("sigma")

    def __repr__(self) -> str:
        length = "" if self.generations is None else f", {self.generations}"
        shape = "" if self.shape == "geometric" else f", shape={self.shape!r}"
        return f"Annealed({self.first}, {self.final}{length}{shape})"


class ErrorScaled:
    r"""The article's adaptation: sigma is proportional to the error of the best member.

    Sigma is :math:`c\,e` with the error `e` of the best: the fitness itself if that is an error rate, and
    :math:`1 - e^{-f}` if the fitness `f` is a cross-entropy (one minus the geometric mean of the probabilities that the
    network gives the right classes).

    Parameters
    ----------
    factor : float
        `c`, the standard deviation at an error of 1, at least 0.
    fitness : {"error", "cross_entropy"}, optional
        The kind of fitness, which is minimised. Default: that of ``make_toolbox``, or "error" without it.

    References
    ----------
    "My experiments in replacing deep learning backpropagation (SGD) with a genetic algorithm", Towards Data
    Science, on mutation that follows convergence.

    Examples
    --------
    >>> ErrorScaled(0.1).sigma
    0.1
    """

    def __init__(self, factor: float = 0.1, *, fitness: Literal["error", "cross_entropy"] | None = None) -> None:
        if fitness is not None:
            check_choice("fitness", fitness, ("error", "cross_entropy"))
        self.factor = check_sigma(factor, "factor")
        self.fitness = fitness
        self._error = 1.0

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise."""
        return self.factor * self._error

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Read the error of the best of the evaluated `individuals`."""
        evaluated = _evaluated(individuals)
        fitness = max(evaluated, key=fitness_key(evaluated)).fitness
        best = float(fitness.values[0])
        error = 1.0 - exp(-max(best, 0.0)) if self.fitness == "cross_entropy" else best
        self._error = min(max(error, 0.0), 1.0)

    def reset(self) -> None:
        """Restore the initial error, 1."""
        self._error = 1.0

    def state(self) -> dict[str, float]:
        """Return the error of the best."""
        return {"error": self._error}

    def restore(self, state: State) -> None:
        """Set the error."""
        self._error = float(state["error"])

    def __repr__(self) -> str:
        return f"ErrorScaled({self.factor}, fitness={self.fitness!r})"


class OneFifth(_Floored):
    r"""Sigma grows while more than one fifth of the members succeed, and falls while fewer do.

    A member succeeds if its fitness is better than the 80 % quantile of the generation before, the bound of its best
    fifth. With the share :math:`p` of successful members, sigma is multiplied by :math:`\exp((p - 1/5) / (4/5\,d))`.
    Each generation has a mini-batch of its own, so an easy mini-batch looks like success.

    Parameters
    ----------
    sigma : float
        The initial standard deviation, above 0.
    floor : float
        The lower bound of sigma, above 0 and at most the initial one.
    damping : float
        `d`, above 0; a larger value makes the adaptation slower.

    References
    ----------
    I. Rechenberg, "Evolutionsstrategie", 1973; S. Kern et al., "Learning probability distributions in continuous
    evolutionary algorithms - a comparative review", Natural Computing 3, 2004 (the formula); O. Ait Elhara, A. Auger
    and N. Hansen, "A median success rule for non-elitist evolution strategies", GECCO 2013 (success by a quantile of
    the generation before).

    Examples
    --------
    >>> rule = OneFifth(0.1, 0.001)
    >>> rule.sigma
    0.1
    """

    SHARE = 0.2

    def __init__(self, sigma: float, floor: float, *, damping: float = 2.0) -> None:
        super().__init__(sigma, floor)
        self.damping = check_positive(damping, "damping")
        self._bar: float | None = None

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Count the successes among the evaluated `individuals`, by their first fitness value."""
        values = np.array([member.fitness.wvalues[0] for member in _evaluated(individuals)])
        if self._bar is not None:
            successes = float(np.mean(values > self._bar))
            factor = exp((successes - self.SHARE) / ((1.0 - self.SHARE) * self.damping))
            self._sigma = self._bounded(self._sigma * factor)
        self._bar = float(np.quantile(values, 1.0 - self.SHARE))

    def reset(self) -> None:
        """Restore the initial sigma."""
        super().reset()
        self._bar = None

    def state(self) -> dict[str, float]:
        """Return sigma and, after the first update, the value that a successful member must exceed."""
        return super().state() | ({} if self._bar is None else {"bar": self._bar})

    def restore(self, state: State) -> None:
        """Set both."""
        super().restore(state)
        self._bar = float(state["bar"]) if "bar" in state else None

    def __repr__(self) -> str:
        return f"OneFifth({self.first}, {self.floor}, damping={self.damping})"


class SelfAdaptive(_Floored):
    r"""Each member has its own sigma, which its children inherit and vary; selection favours the useful ones.

    A child's sigma is that of the parent at its place times :math:`e^{\tau z}`, with a standard normal :math:`z`, but
    at least the floor. Without a floor sigma shrinks to 0: the child that changes least loses least on the next batch.
    The attribute ``sigma`` is the median of the members' sigmas at the last update.

    Parameters
    ----------
    sigma : float
        The sigma of the initial population, above 0.
    floor : float
        The lower bound of sigma, above 0 and at most the initial one.
    rate : float
        :math:`\tau`, above 0. The usual :math:`1/\sqrt{2n}` is too small to change sigma if `n` is millions of weights.

    References
    ----------
    H.-G. Beyer and H.-P. Schwefel, "Evolution strategies: a comprehensive introduction", Natural Computing 1, 2002,
    section 4.2.2.

    Examples
    --------
    >>> SelfAdaptive(0.1, 0.001).sigma
    0.1
    """

    def __init__(self, sigma: float, floor: float, *, rate: float = 0.2) -> None:
        super().__init__(sigma, floor)
        self.rate = check_positive(rate, "rate")

    def varied(self, amount: float, rng: np.random.Generator) -> float:
        """Return the sigma of a child, given that of its parent."""
        return self._bounded(amount * exp(min(self.rate * rng.standard_normal(), 100.0)))

    def inherited(self, amounts: Sequence[float], seed: int, generation: int) -> list[float]:
        """Return the sigma of each child of a generation, given those of the parents at their places."""
        rng = stream(seed, Purpose.SIGMA, generation)
        made = [self.varied(amount, rng) for amount in amounts]
        self._sigma = float(np.median(made)) if made else self.first
        return made

    def of(self, individual: Any) -> float:
        """Return an individual's sigma: its attribute ``strategy``, or the initial sigma if it has none."""
        own = getattr(individual, "strategy", None)
        return self.first if own is None else float(own)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Read the median of the `individuals`; only selection and inheritance change it."""
        if individuals:
            self._sigma = float(np.median([self.of(individual) for individual in individuals]))

    def __repr__(self) -> str:
        return f"SelfAdaptive({self.first}, {self.floor}, rate={self.rate})"


class Count:
    """The number of a generation, which a clock and the evaluation that reads it share."""

    generation = 0


class Clock:
    """The present generation of a toolbox or a selection, and the adaptations that each new one updates.

    Parameters
    ----------
    toolbox : deap.base.Toolbox, optional
        The adaptation that gives its registered ``mutate`` a ``sigma`` is updated first.
    *others : Adaptation
        Further objects to update.

    Attributes
    ----------
    count : Count
        The number of the present generation.
    generations : int or None
        The number of generations of the run; None if it is not known.
    runs : int
        The number of resets.
    """

    def __init__(self, toolbox: base.Toolbox | None = None, *others: Any) -> None:
        self.toolbox, self.others, self.count = toolbox, others, Count()
        self.generations: int | None = None
        self.runs = 0

    @property
    def generation(self) -> int:
        """The number of the present generation."""
        return self.count.generation

    @property
    def adaptation(self) -> Adaptation | None:
        """The adaptation that gives the registered mutation its sigma; None if the sigma is a number."""
        sigma = words_of(getattr(self.toolbox, "mutate", None)).get("sigma")
        if not is_adaptation(sigma):
            return None
        if isinstance(sigma, Annealed) and self.generations is not None:
            sigma.run_of(self.generations)
        return sigma

    @property
    def sigma(self) -> float | None:
        """The mutation step size at present, or None if the registered mutation has no ``sigma``."""
        adaptation = self.adaptation
        if adaptation is not None:
            return float(adaptation.sigma)
        sigma = words_of(getattr(self.toolbox, "mutate", None)).get("sigma")
        return float(sigma) if isinstance(sigma, Real) else sigma

    def _each(self) -> list[Any]:
        """Return the objects to update, the mutation's adaptation first, each once."""
        every = (self.adaptation, *self.others)
        return list({id(one): one for one in every if one is not None}.values())

    def _kept(self) -> list[Adaptation]:
        """Return the adaptations beside the mutation's; an object that only gets updates has no state."""
        return [one for one in self._each() if is_adaptation(one) and one is not self.adaptation]

    def reset(self, generations: int | None = None) -> None:
        """Return to generation 0 and the first sigma; `generations` is the number of generations of the new run."""
        self.generations = self.generations if generations is None else generations
        self.runs += 1
        self.count.generation = 0
        for adaptation in self._each():
            if is_adaptation(adaptation):
                adaptation.reset()

    def state(self) -> dict[str, Any]:
        """Return the states of the adaptations, for `restore`."""
        state: dict[str, Any] = dict(self.adaptation.state()) if self.adaptation is not None else {}
        others = [dict(other.state()) for other in self._kept()]
        return state | ({"others": others} if any(others) else {})

    def restore(self, generation: int, adaptation: Mapping[str, Any]) -> None:
        """Set a generation, and restore the states that the adaptations had in it."""
        self.count.generation = generation
        state = dict(adaptation)
        for other, kept in zip(self._kept(), state.pop("others", ()), strict=False):
            other.restore(kept)
        if "generations" in state:  # a resumed run may have more, but its schedule keeps its first length
            self.generations = int(state["generations"])
        if self.adaptation is not None:
            self.adaptation.restore(state)

    def advance(self, individuals: Sequence[Any]) -> None:
        """Begin the next generation; the evaluated `individuals` include its parents.

        Raises
        ------
        EvaluationError
            If none of them has a finite fitness.
        """
        if len(individuals) and all(one.fitness.valid and abs(one.fitness.values[0]) == WORST for one in individuals):
            raise EvaluationError(f"generation {self.generation}: evaluate gave no member a finite fitness")
        self.count.generation += 1
        for adaptation in self._each():
            adaptation.update(individuals, self.generation)
        self.note(individuals)

    def select_from(self, individuals: Sequence[Any]) -> None:
        """Advance, unless all `individuals` were scored in earlier generations."""
        if any(self._scored_in(individual) >= self.generation for individual in individuals):
            self.advance(individuals)
        else:
            self.note(individuals)

    def note(self, individuals: Iterable[Any]) -> None:
        """Note in individuals their present fitness: another one is of this generation or a later one."""
        for individual in individuals:
            individual.in_generation = self.generation, individual.fitness.wvalues

    def _scored_in(self, individual: Any) -> int:
        """Return the generation in which an individual was scored, or one that is not over if that is not known."""
        generation, known = getattr(individual, "in_generation", (self.generation, None))
        # Setting a fitness makes another tuple, also of equal values; a clone keeps that of its original.
        return int(generation) - (individual.fitness.wvalues is known)


class Adapting:
    """A selection that first advances a clock, as `adapting` returns it.

    Parameters
    ----------
    operator : callable
        A selection in DEAP's form.
    clock : Clock
        Advanced with the individuals of each call, if some of them were scored since the last one.
    """

    def __init__(self, operator: Callable[..., list[Any]], clock: Clock) -> None:
        self.operator, self.clock = operator, clock

    def __call__(self, individuals: Sequence[Any], *arguments: Any, **keywords: Any) -> list[Any]:
        """Advance the clock, then select from the evaluated `individuals` with `operator`."""
        self.clock.select_from(individuals)
        rng = keywords.pop("rng", None)
        select: Callable[..., list[Any]] = partial(self.operator, **keywords)
        if rng is not None:  # a decorator's ``**keywords`` hide the parameters of its function: it gets all
            kinds = {one.kind for one in signature(select).parameters.values()}
            select = partial(select, rng=rng) if Parameter.VAR_KEYWORD in kinds else seeded(select, rng)
        return select(individuals, *arguments)


def adapting(select: Callable[..., list[Any]], *adaptations: Any) -> Adapting:
    """Return a selection that updates adaptations with each population that it selects from.

    DEAP's loops call ``select`` once a generation, with the evaluated population; `make_toolbox` registers its
    selections in this form. A call with individuals of which none was scored since the last one updates nothing. The
    returned selection takes the arguments of `select`. An argument ``rng`` also seeds DEAP's own selections, which do
    not take it.

    Parameters
    ----------
    select : callable
        A selection in DEAP's form, such as `selRankBoosted` or ``deap.tools.selTournament``.
    *adaptations : Adaptation
        Objects with a method ``update(individuals, generation)``, such as the ``sigma`` that ``mutate`` is registered
        with. An object that has no other method of an `Adaptation` is neither reset nor kept in a checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from deap import base
    >>> from deap_nn import ErrorScaled, mutGaussianAdaptive, selRankBoosted
    >>> sigma, rng = ErrorScaled(0.1), np.random.default_rng(1)
    >>> toolbox = base.Toolbox()
    >>> toolbox.register("mutate", mutGaussianAdaptive, sigma=sigma, rng=rng)
    >>> toolbox.register("select", adapting(selRankBoosted, sigma), parents=20, rng=rng)
    """
    return Adapting(select, Clock(None, *adaptations))


def clock_of(select: Any) -> Clock | None:
    """Return the clock of a registered selection by `adapting`; None for any other."""
    while isinstance(select, partial):
        select = select.func
    return select.clock if isinstance(select, Adapting) else None
