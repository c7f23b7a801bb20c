"""Adaptations of the mutation step size sigma, and selections that update them."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from math import exp
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

import numpy as np

from deap_nn.seeding import Purpose, seeded, stream
from deap_nn.weights import LARGEST_WEIGHT, check_number

State = Mapping[str, float]


@runtime_checkable
class Adaptation(Protocol):
    """How the amount of mutation follows a run.

    ``update`` sees the population once a generation, and ``sigma`` is what mutation uses until the next time. ``reset``
    goes back to the beginning; ``state`` and ``restore`` read and put back all that changes.
    """

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present, at least 0."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the evaluated `individuals` that become the parents of `generation`."""

    def reset(self) -> None:
        """Go back to the first amount, as a run does when it begins."""

    def state(self) -> dict[str, float]:
        """Return all that changes, as numbers by name."""

    def restore(self, state: State) -> None:
        """Put back what ``state`` returned."""


def is_adaptation(value: object) -> TypeGuard[Adaptation]:
    """Return whether an object has the methods of an `Adaptation`; its ``sigma``, which may be unknown, is not read."""
    return all(callable(getattr(value, name, None)) for name in ("update", "reset", "state", "restore"))


def check_sigma(value: float, name: str) -> float:
    """Return a strength of mutation, or raise ValueError where it is negative or not finite."""
    if not 0 <= check_number(value, name) <= LARGEST_WEIGHT:
        raise ValueError(f"{name} must be finite and at least 0, a float32, got {value!r}")
    return float(value)


class Constant:
    """The same amount of mutation all along.

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
    r"""A sigma that falls with the generations, from a first to a last one.

    With a part :math:`t = g/G` of the generations done, sigma is :math:`\sigma_0 (\sigma_1/\sigma_0)^t`, or
    :math:`\sigma_0 + (\sigma_1 - \sigma_0) t` if `shape` is "linear"; it stays at :math:`\sigma_1` after
    generation `G`.

    Parameters
    ----------
    sigma, final : float
        The first and the last standard deviation, both above 0.
    generations : int, optional
        `G`, at least 1. Left out, it is the number of generations of the run, which `evolve` fills in; DEAP's own
        loops cannot, and need it here or as ``make_toolbox(generations=...)``.
    shape : {"geometric", "linear"}
        How it falls.

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
        if shape not in ("geometric", "linear"):
            raise ValueError(f"shape must be 'geometric' or 'linear', got {shape!r}")
        self.generations = None if generations is None else int(generations)
        self.shape = shape
        self._generation = 0

    _of_the_run: int | None = None

    def run_of(self, generations: int | None) -> None:
        """Take the number of generations of a run, at least 0, as `G` if none was given; None for an unknown one."""
        self._of_the_run = None if generations is None else max(1, int(generations))

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present.

        Raises
        ------
        ValueError
            After generation 0, if the number of generations is not known.
        """
        if not self._generation:
            return self.first
        length = self.generations or self._of_the_run
        if length is None:
            raise ValueError(
                f"{self!r} needs the number of generations outside evolve: give it as Annealed(..., generations=N) "
                "or make_toolbox(..., generations=N)"
            )
        done = min(self._generation / length, 1.0)
        if self.shape == "linear":
            return self.first * (1.0 - done) + self.final * done
        return self.first * float((self.final / self.first) ** done)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the generation."""
        hold(self)
        self._generation = int(generation)

    def reset(self) -> None:
        """Go back to generation 0."""
        self._generation = 0

    def state(self) -> dict[str, float]:
        """Return the generation, and the number of generations if it is that of the run."""
        of_the_run = self._of_the_run if self.generations is None else None
        state: dict[str, float] = {"generation": self._generation}
        return state if of_the_run is None else state | {"generations": of_the_run}

    def restore(self, state: State) -> None:
        """Put the generation back, and the number of generations that the run was begun with."""
        self._generation = int(state["generation"])
        if "generations" in state:
            self.run_of(int(state["generations"]))

    def __repr__(self) -> str:
        length = "" if self.generations is None else f", {self.generations}"
        shape = "" if self.shape == "geometric" else f", shape={self.shape!r}"
        return f"Annealed({self.first}, {self.final}{length}{shape})"


class ErrorScaled:
    r"""The article's amount: it follows how far the best of the population is from solved.

    The amount is :math:`c\,e` where `e` is the error of the best: the fitness itself where that is an error
    rate, and :math:`1 - e^{-f}` where the fitness `f` is a cross-entropy (one minus the geometric mean of the
    probabilities that the network gives the right answers).

    Parameters
    ----------
    factor : float
        `c`, the standard deviation at an error of 1, at least 0.
    fitness : {"error", "cross_entropy"}, optional
        What the fitness is. Left out, ``make_toolbox`` fills in its own, and otherwise it is "error".

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
        if fitness not in (None, "error", "cross_entropy"):
            raise ValueError(f"fitness must be 'error' or 'cross_entropy', got {fitness!r}")
        self.factor = check_sigma(factor, "factor")
        self.fitness = fitness
        self._error = 1.0

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present."""
        return self.factor * self._error

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take the error of the best of the evaluated `individuals`."""
        hold(self)
        evaluated = [individual.fitness for individual in individuals if individual.fitness.valid]
        if not evaluated:
            raise ValueError("individuals must hold at least one with a valid fitness")
        best = float(max(evaluated).values[0])
        error = 1.0 - exp(-max(best, 0.0)) if self.fitness == "cross_entropy" else best
        self._error = min(max(error, 0.0), 1.0)

    def reset(self) -> None:
        """Go back to an error of 1."""
        self._error = 1.0

    def state(self) -> dict[str, float]:
        """Return the error of the best."""
        return {"error": self._error}

    def restore(self, state: State) -> None:
        """Put the error back."""
        self._error = float(state["error"])

    def __repr__(self) -> str:
        return f"ErrorScaled({self.factor}, fitness={self.fitness!r})"


class OneFifth:
    r"""An amount that grows while more than one in five succeed, and falls while fewer do.

    A member succeeds if it is better than the best fifth of the generation before were. With the share :math:`p` of
    those that do, the amount is multiplied by :math:`\exp((p - 1/5) / (4/5\,d))`. Each generation has a mini-batch of
    its own, so an easy one looks like success.

    Parameters
    ----------
    sigma : float
        The first standard deviation, above 0.
    floor : float
        The least, above 0.
    damping : float
        `d`, above 0: the larger, the slower.

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
        self.first, self.floor = _check_floor(sigma, floor)
        if not 0 < check_number(damping, "damping") < np.inf:
            raise ValueError(f"damping must be finite and above 0, got {damping!r}")
        self.damping = float(damping)
        self._sigma = self.first
        self._bar: float | None = None

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present."""
        return self._sigma

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Count the successes among the evaluated `individuals`, by their first fitness value."""
        hold(self)
        values = np.array([member.fitness.wvalues[0] for member in individuals if member.fitness.valid])
        if not values.size:
            raise ValueError("individuals must hold at least one with a valid fitness")
        if self._bar is not None:
            successes = float(np.mean(values > self._bar))
            factor = exp((successes - self.SHARE) / ((1.0 - self.SHARE) * self.damping))
            self._sigma = float(np.float32(min(max(self._sigma * factor, self.floor), LARGEST_WEIGHT)))
        self._bar = float(np.quantile(values, 1.0 - self.SHARE))

    def reset(self) -> None:
        """Go back to the first amount."""
        self._sigma, self._bar = self.first, None

    def state(self) -> dict[str, float]:
        """Return the amount, and what a member must be better than once there is that."""
        return {"sigma": self._sigma} | ({} if self._bar is None else {"bar": self._bar})

    def restore(self, state: State) -> None:
        """Put both back."""
        self._sigma = float(state["sigma"])
        self._bar = float(state["bar"]) if "bar" in state else None

    def __repr__(self) -> str:
        return f"OneFifth({self.first}, {self.floor}, damping={self.damping})"


class SelfAdaptive:
    r"""An amount of each member's own, which its children inherit and vary: selection finds the one that pays.

    A child's amount is that of the parent whose place it takes, times :math:`e^{\tau z}` with a normal :math:`z`, and
    never below the floor: without one it shrinks to nothing, since who changes least loses least on the next batch.

    Parameters
    ----------
    sigma : float
        That of the initial population, above 0.
    floor : float
        The least, above 0.
    rate : float
        :math:`\tau`, above 0. The usual :math:`1/\sqrt{2n}` changes nothing at `n` of millions of weights.

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
        self.first, self.floor = _check_floor(sigma, floor)
        if not 0 < check_number(rate, "rate") < np.inf:
            raise ValueError(f"rate must be finite and above 0, got {rate!r}")
        self.rate = float(rate)
        self._sigma = self.first

    @property
    def sigma(self) -> float:
        """The median of the members' standard deviations, when last told of them."""
        return self._sigma

    def varied(self, amount: float, rng: np.random.Generator) -> float:
        """Return the amount of a child of a parent that has some amount."""
        grown = amount * exp(min(self.rate * rng.standard_normal(), 100.0))
        return float(np.float32(min(max(grown, self.floor), LARGEST_WEIGHT)))

    def inherited(self, amounts: Sequence[float], seed: int, generation: int) -> list[float]:
        """Return the amount of each child of a generation, given those of the parents whose places they take."""
        rng = stream(seed, Purpose.STRENGTH, generation)
        made = [self.varied(amount, rng) for amount in amounts]
        self._sigma = float(np.median(made)) if made else self.first
        return made

    def of(self, individual: Any) -> float:
        """Return an individual's own amount: its attribute ``strategy``, or the first where it has none."""
        own = getattr(individual, "strategy", None)
        return self.first if own is None else float(own)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the median; it is selection that changes it."""
        if individuals:
            self._sigma = float(np.median([self.of(individual) for individual in individuals]))

    def reset(self) -> None:
        """Go back to the first amount."""
        self._sigma = self.first

    def state(self) -> dict[str, float]:
        """Return the median."""
        return {"sigma": self._sigma}

    def restore(self, state: State) -> None:
        """Put the median back."""
        self._sigma = float(state["sigma"])

    def __repr__(self) -> str:
        return f"SelfAdaptive({self.first}, {self.floor}, rate={self.rate})"


def _check_floor(sigma: float, floor: float) -> tuple[float, float]:
    if not 0 < check_sigma(floor, "floor") <= check_sigma(sigma, "sigma"):
        raise ValueError(f"floor must be above 0 and at most sigma, got {floor!r} and {sigma!r}")
    return float(sigma), float(floor)


_updated: ContextVar[tuple[int, frozenset[int]] | None] = ContextVar("updated", default=None)
"""In a selection that updates adaptations: the generation that begins, and the identities of those updated already."""


class Adapting:
    """A selection that first updates adaptations, which is what `adapting` returns.

    Parameters
    ----------
    operator : callable
        Selects, in DEAP's form.
    *adaptations : Adaptation
        Updated with the individuals of each call. Nested in another such selection, as a decorated one is, those that
        the outer one has updated are left alone.
    """

    def __init__(self, operator: Callable[..., list[Any]], *adaptations: Any) -> None:
        self.operator = operator
        self.adaptations = adaptations
        self.generation = 0
        for adaptation in adaptations:
            hold(adaptation)

    def __call__(self, individuals: Sequence[Any], *arguments: Any, **keywords: Any) -> list[Any]:
        """Update the adaptations, and select of the evaluated `individuals` as `operator` does."""
        outer = _updated.get()
        if outer is None:
            self.generation += 1
        generation, done = outer or (self.generation, frozenset())
        each = {id(adaptation): adaptation for adaptation in self.adaptations}
        fresh = [adaptation for key, adaptation in each.items() if key not in done]
        token = _updated.set((generation, done | set(map(id, fresh))))
        try:
            for adaptation in fresh:
                adaptation.update(individuals, generation)
            rng = keywords.pop("rng", None)
            select = partial(self.operator, **keywords)
            chosen: list[Any] = (select if rng is None else seeded(select, rng))(individuals, *arguments)
            return chosen
        finally:
            _updated.reset(token)


class Updated(Protocol):
    """What `adapting` updates: an `Adaptation`, or anything else that is to see each population."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the evaluated `individuals` that become the parents of `generation`."""


def adapting(select: Callable[..., list[Any]], *adaptations: Updated) -> Adapting:
    """Return a selection that updates adaptations with each population that it selects from.

    DEAP's loops call ``select`` once a generation, so that is where an adaptation sees the evaluated population;
    `make_toolbox` registers its selections so. The returned selection takes what `select` takes; an ``rng`` also seeds
    one of DEAP's own, which take none.

    Parameters
    ----------
    select : callable
        A selection in DEAP's form, such as `selRankBoosted` or ``deap.tools.selTournament``.
    *adaptations : Adaptation
        Such as the ``sigma`` that ``mutate`` is registered with: objects with a method ``update(individuals,
        generation)``.

    Raises
    ------
    TypeError
        If `select` is not callable, or an adaptation has no ``update``.

    Examples
    --------
    >>> from deap import base
    >>> from deap_nn import mutGaussianAdaptive, selRankBoosted
    >>> sigma, rng = ErrorScaled(0.1), np.random.default_rng(1)
    >>> toolbox = base.Toolbox()
    >>> toolbox.register("mutate", mutGaussianAdaptive, sigma=sigma, rng=rng)
    >>> toolbox.register("select", adapting(selRankBoosted, sigma), parents=20, rng=rng)
    """
    if not callable(select):
        raise TypeError(f"select must be a function in DEAP's form, got {select!r}")
    for adaptation in adaptations:
        if isinstance(adaptation, type) or not callable(getattr(adaptation, "update", None)):
            raise TypeError(f"adaptations must be objects with a method update, got {adaptation!r}")
    return Adapting(select, *adaptations)


def note_update(adaptation: Any, generation: int) -> None:
    """Tell the selection that is under way, if there is one, which generation begins and that an adaptation is done."""
    under_way = _updated.get()
    if under_way is not None:
        _updated.set((generation, under_way[1] | {id(adaptation)}))


def hold(adaptation: Any) -> None:
    """Note on an adaptation that something updates it, so that `warn_if_never_updated` keeps quiet."""
    if isinstance(getattr(adaptation, "__dict__", None), dict):
        vars(adaptation)["_held"] = True


def adaptations_of(select: Any) -> list[Any]:
    """Return all that a registered selection updates, and those that it calls, in their order."""
    found: list[Any] = []
    while select is not None:
        found += getattr(select, "adaptations", ()) if isinstance(select, Adapting) else ()
        select = getattr(select, "func", None) or getattr(select, "operator", None)
    return found


def warn_if_never_updated(adaptation: Adaptation, individual: Any) -> None:
    """Warn once if an adaptation reaches a second generation of mutations and nothing has updated it.

    Once the individual that it mutated last has been scored, a mutation belongs to a later generation. The fitness
    object of that individual is kept to see this, and not the individual, which may have died.

    Parameters
    ----------
    adaptation : Adaptation
        What gives the sigma. One without a changing state, and `SelfAdaptive`, need no update.
    individual : Any
        The individual that is to be mutated.
    """
    known = getattr(adaptation, "__dict__", None)
    fitness = getattr(individual, "fitness", None)
    if known is None or fitness is None or known.get("_held") or isinstance(adaptation, Constant | SelfAdaptive):
        return
    scored, values, state = known.get("_mutated") or (None, None, dict(adaptation.state()))
    if not state:
        return
    known["_mutated"] = fitness, fitness.values if fitness.valid else None, state
    if scored is None or not scored.valid or scored.values == values:
        return
    del known["_mutated"]
    known["_held"] = True  # it warns once, and not if somebody updates it by hand
    if adaptation.state() == state:
        warnings.warn(
            f"sigma stays at {adaptation.sigma:g}: nothing updates {adaptation!r}. Register the selection as "
            "adapting(select, sigma)",
            stacklevel=3,
        )
