"""The generational loop: breed, score, select, log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deap import base, tools

from deap_nn.algorithms.loop import Run
from deap_nn.algorithms.resuming import KeptHall
from deap_nn.algorithms.toolbox import MadeToolbox, StrategyToolbox, check_called
from deap_nn.breeding.founders import breeder_of, is_warm, keep_founders
from deap_nn.breeding.lineage import Lineage
from deap_nn.callbacks.base import Callback, Evolution, checked_callbacks
from deap_nn.callbacks.progress import ProgressBar, in_notebook
from deap_nn.core.arguments import check_count, check_probability
from deap_nn.core.registered import Registered, evaluation_of
from deap_nn.core.seeding import check_seed
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.describe import describe_algorithm
from deap_nn.operators.selection import operator_of
from deap_nn.runs.checkpoint import Checkpoint, read_first


def _lineage(population: list[Any], toolbox: base.Toolbox, seed: int, cxpb: float, mutpb: float) -> Lineage:
    """Return the lineage of a run, and make the population its light members."""
    breeder = breeder_of(population, toolbox, seed=seed, cxpb=cxpb, mutpb=mutpb)
    lineage = Lineage(breeder, toolbox.map)
    try:
        if is_warm(breeder):
            keep_founders(lineage, population)
            recipes = [lineage.ancestry.member(0, place) for place in range(len(population))]
        else:
            recipes = [member.recipe for member in population]
    except BaseException:
        lineage.close()
        raise
    population[:] = lineage.present(recipes)
    return lineage


def _check_shapes(population: Sequence[Any], toolbox: base.Toolbox) -> None:
    """Raise ValueError if a genome has other shapes than the toolbox."""
    wanted = evaluation_of(operator_of(toolbox.evaluate)).shapes
    others = {member.shapes for member in population if isinstance(member, WeightList)} - {wanted}
    if wanted is not None and others:
        raise ValueError(f"population must have the shapes {wanted} of the toolbox, got {others.pop()}")


def evolve(
    population: list[Any],
    toolbox: base.Toolbox,
    ngen: int,
    *,
    seed: int | None = None,
    cxpb: float = 1.0,
    mutpb: float = 1.0,
    stats: tools.Statistics | tools.MultiStatistics | None = None,
    halloffame: tools.HallOfFame | None = None,
    callbacks: Iterable[Callback | Callable[[Evolution], object]] = (),
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    verbose: bool = False,
    force: bool = False,
) -> tuple[list[Any], tools.Logbook]:
    """Evolve a population by generations, each replaced by its children and scored on a new mini-batch.

    The random numbers of every mating and mutation are a function of (seed, generation, pair or child), so a result
    does not depend on the map, the number of workers or their timing. An operator is given its stream as ``rng`` if it
    takes one. Every member is scored in every generation.

    The map sends recipes, from which workers breed the children that they score. A child may be bred several times, so
    an operator must be a pure function of its arguments and ``rng``. ``mate`` gets weights without a fitness; one with
    an attribute ``fitter_first`` gets the fitter of two first. A member's weights are made when they are first read.
    Children do not inherit a callback's changes to the weights, and cannot be bred from members that it puts into the
    population. With a checkpoint, weights that were never read may be lost in a later generation: copy a member that
    you need later, or return it from `Callback.members`.

    Parameters
    ----------
    population : list
        Individuals; replaced in place by each next generation.
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate``, ``mutate``, ``select``, ``evaluate`` and ``map``. ``mate`` is called with two
        individuals, as in DEAP's loops; if its signature takes ``*individuals``, with ``toolbox.mates`` of them. The
        number of parents drawn is the size of the population: selections of the best from a larger set, such as
        DEAP's ``selNSGA2``, are for DEAP's own loops. If there are several objectives, the selections of
        `make_toolbox` compare the first one, which is also logged. ``assess``, if registered, adds columns about the
        best member. A ``reproduction``, if registered, takes the place of ``mate``: a user's own strategy, see
        `deap_nn.breeding.reproduction.Reproduction`.
    ngen : int
        Generations after the initial one, at least 0.
    seed : int, optional
        The run's seed. If left out, the seed of a toolbox by `make_toolbox`.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated, 0 to 1. In a toolbox with a ``step``
        children come from one centre, and `cxpb` has no effect; with `ES` it must be 1.
    stats : deap.tools.Statistics, optional
        Adds its columns or chapters to the logbook.
    halloffame : deap.tools.HallOfFame, optional
        Updated with every generation.
    callbacks : iterable of Callback or callable
        Called in this order; a function gets the `Evolution` after each generation. If one registers another ``select``
        or ``evaluate``, or a ``mutate`` with another ``sigma``, the next generation uses it. Other operators,
        ``mates``, ``step`` and ``recombination_weights`` cannot change.
    checkpoint : Checkpoint or path-like, optional
        Where to keep each generation: a folder, or an open `Checkpoint`, which stays open. If it has generations, the
        run resumes after the last one. With the same arguments the result is that of an uninterrupted run. It needs
        an `ngen` of at least its last generation. A hall of fame is kept too, and must be empty at the start.
    verbose : bool
        Whether to print the algorithm and, as DEAP's loops do, the logbook's stream; in a notebook a `ProgressBar` in
        place of the stream.
    force : bool
        Whether to resume a run that has other data, or was begun with other versions, variables of TensorFlow or
        another processor: then the last bits may differ from those of an unbroken run.

    Returns
    -------
    population : list
        The same list.
    logbook : deap.tools.Logbook
        A record per generation, with the columns of ``COLUMNS``.

    Raises
    ------
    ValueError
        If the population is empty, a number is out of range, the checkpoint is of another run, or `seed` differs from
        the toolbox's. Also if the algorithm does not call a registered function, or one changes that must not, and if
        members have attributes of their own or the toolbox has another ``clone``, which need DEAP's ``eaSimple``.
    EvaluationError
        If an evaluation raises or returns no fitness. The message names the generation and the child.
    CallbackError
        If a callback raises. The message names its class and method; ``__cause__`` is the callback's exception.

    Examples
    --------
    >>> from deap_nn import make_toolbox
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> population, logbook = evolve(toolbox.population(n=4), toolbox, 2, seed=1)
    >>> logbook.select("gen")
    [0, 1, 2]
    """
    seed = _seed_of(toolbox, seed)
    if not population:
        raise ValueError("population must not be empty")
    ngen = check_count(ngen, "ngen", 0)
    check_probability(cxpb, "cxpb")
    if cxpb != 1 and isinstance(toolbox, StrategyToolbox):
        raise ValueError(f"cxpb is not for an evolution strategy, which mates no parents: leave it out, got {cxpb!r}")
    check_probability(mutpb, "mutpb")
    _check_shapes(population, toolbox)
    watching = checked_callbacks(callbacks)
    if checkpoint is not None and halloffame is not None:
        watching.append(KeptHall(halloffame))
    shows_bar = verbose and in_notebook()
    if shows_bar:
        watching.append(ProgressBar())
    settings = {"seed": seed, "cxpb": cxpb, "mutpb": mutpb}
    with contextlib.ExitStack() as stack:
        if isinstance(checkpoint, str | os.PathLike):
            checkpoint = stack.enter_context(Checkpoint(checkpoint))
        if isinstance(toolbox, MadeToolbox):
            first = None if checkpoint is None else read_first(checkpoint.path.parent)
            toolbox.plan(len(population), ngen if first is None else first.adaptation.get("generations", ngen))
        check_called(toolbox, len(population))
        if verbose:
            print(describe_algorithm(toolbox))
        lineage = _lineage(population, toolbox, seed, cxpb, mutpb)
        evolution = Evolution(
            toolbox, population, ngen, lineage.map, look=lineage.look, mean=lineage.mean, settings=settings
        )
        kept = halloffame, checkpoint
        Run(evolution, watching, lineage, stats, *kept, force=force, verbose=verbose and not shows_bar).run()
    return population, evolution.logbook


def _seed_of(toolbox: base.Toolbox, seed: int | None) -> int:
    """Return the seed of a run: the given one or the toolbox's; ValueError if they differ or both are missing."""
    known = Registered.read(toolbox).seed
    if seed is None:
        if known is None:
            raise ValueError("seed must be given: only a toolbox by make_toolbox has one")
        return check_seed(known)
    if isinstance(toolbox, MadeToolbox) and check_seed(seed) != known:
        raise ValueError(f"seed must be the toolbox's, {known}, or left out, got {seed}")
    return check_seed(seed)
