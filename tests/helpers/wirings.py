"""Toolboxes that are wired by hand, what they are wired with, and what their runs give."""

import contextlib
import functools
import time
from collections import OrderedDict
from functools import partial

import numpy as np
from deap import algorithms, base, tools
from limits import evolve

from deap_nn import (
    Annealed,
    ErrorScaled,
    Evaluation,
    Individual,
    Layout,
    NoiseTable,
    OneFifth,
    SelfAdaptive,
    cxBiased,
    cxMask,
    cxScanning,
    initNormal,
    mutGaussianAdaptive,
    recombination_weights,
    selRankBoosted,
)
from deap_nn.breeding import task
from deap_nn.breeding.founders import breeder_of, initPopulation
from deap_nn.core.logbooks import rows_of

LAYOUT = Layout(("kernel", "bias", "out"), ((5, 7), (7,), (7, 3)))

TABLE = NoiseTable(1, LAYOUT.size)

HALF = partial(selRankBoosted, parents=6, opposites=0.5)
FOUR_WITH_OPPOSITES = {"select": HALF, "mate": cxScanning, "mates": 4}
AROUND = {"recombination_weights": partial(recombination_weights, parents=6), "step": 1.0}


def sum_of_squares(individual):
    return (float((individual.flat.astype(np.float64) ** 2).sum()),)


class Squares(Evaluation):
    """The sum of squares, which leaves individuals as they are."""

    leaves_weights = True

    def __call__(self, individual):
        return sum_of_squares(individual)


class Together(Squares):
    """The same for several genomes at once, which are overwritten unless they are to be left as they are."""

    scores_groups = True

    def __init__(self, leaves_weights):
        self.leaves_weights = leaves_weights

    def many(self, genomes):
        values = [self(Individual([genome])) for genome in genomes]
        if not self.leaves_weights:
            genomes[:] = 7
        return values


class Doubled:
    """A fitness of one's own, twice another."""

    def __init__(self, evaluate):
        self.evaluate = evaluate

    def __call__(self, individual):
        return (2 * self.evaluate(individual)[0],)


def halve(individual, *, rng):
    """A mutation of a user's own."""
    individual[rng.integers(len(individual))] *= np.float32(0.5)
    return (individual,)


def cx_rows(ind1, ind2, *, rng):
    """Exchange whole rows of each pair of matrices, as the how-to does."""
    for a, b in zip(ind1, ind2, strict=True):
        rows = rng.random(len(a)) < 0.5
        a[rows], b[rows] = b[rows], a[rows].copy()
    return ind1, ind2


def mutation(sigma, **words):
    """A mutation by the table, if no other noise is given."""
    return partial(mutGaussianAdaptive, sigma=sigma, **{"noise": TABLE} | words)


def passing(function):
    """A decorator that changes nothing."""
    return functools.wraps(function)(lambda *arguments, **keywords: function(*arguments, **keywords))


class Counted:
    """A function that counts its calls, and with how many individuals."""

    def __init__(self, function):
        self.function, self.calls, self.given = function, 0, set()

    def __call__(self, *individuals, **keywords):
        self.calls += 1
        self.given.add(len(individuals))
        return self.function(*individuals, **keywords)


def wired(**registered):
    toolbox = base.Toolbox()
    toolbox.register("individual", initNormal, Individual, LAYOUT)
    toolbox.register("population", initPopulation, toolbox, 1)
    if "step" not in registered:
        toolbox.register("mate", cxMask)
        toolbox.register("select", selRankBoosted, parents=6)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=ErrorScaled(0.3, fitness="cross_entropy"), noise=TABLE)
    toolbox.register("evaluate", sum_of_squares)
    toolbox.mates, toolbox.step = registered.pop("mates", 2), registered.pop("step", None)
    for name, function in registered.items():
        toolbox.register(name, function)
    return toolbox


def evolve_toolbox(toolbox, *, n=12, ngen=6, **options):
    """Run ``evolve`` on the next founders of a toolbox; the seed of one that has none is 1."""
    seed = {"seed": getattr(toolbox, "seed", 1)}
    return evolve(toolbox.population(n=n), toolbox, ngen, **seed | options)


def result(toolbox, *, n=12, ngen=6, **options):
    return logged(*evolve(toolbox.population(n=n, start=0), toolbox, ngen, seed=1, **options))


def logged(population, logbook):
    """The weights of all members as bytes, and the rows of the logbook."""
    return [individual.flat.tobytes() for individual in population], rows_of(logbook)


def simple(population, toolbox):
    return algorithms.eaSimple(population, toolbox, cxpb=0.9, mutpb=1.0, ngen=2, verbose=False)


def scored(toolbox, population):
    """The population, scored one by one."""
    for individual in population:
        individual.fitness.values = toolbox.evaluate(individual)
    return population


def made_breeder(toolbox, **words):
    return breeder_of(toolbox.population(n=4), toolbox, **{"seed": 1, "cxpb": 1.0, "mutpb": 1.0} | words)


def mapping(function, items):
    """A map that may be parallel."""
    return [function(item) for item in items]


class OtherHost:
    """A map whose tasks run as on a host of its own, which keeps what it makes; they are added to `sent`."""

    def __init__(self, place, sent):
        self._place, self._sent, self._own = str(place), sent, (OrderedDict(), {})

    @contextlib.contextmanager
    def _there(self):
        here = task.contexts, task.genomes_by_run
        task.contexts, task.genomes_by_run = self._own
        try:
            yield
        finally:
            task.contexts, task.genomes_by_run = here

    def __call__(self, function, tasks):
        for one in tasks:
            self._sent.append(one)
            with self._there():
                yield function(one._replace(place=self._place))

    def forget(self):
        with self._there():
            task.forget()


class Shrinking:
    """An adaptation that remembers: its sigma is a tenth smaller with every generation."""

    def __init__(self):
        self.sigma = 0.3

    def update(self, individuals, generation):
        self.sigma *= 0.9

    def reset(self):
        self.sigma = 0.3

    def state(self):
        return {"sigma": self.sigma}

    def restore(self, state):
        self.sigma = state["sigma"]


def drawn_globally():
    """An individual whose random numbers come from nowhere that is given to it, drawn with a pause in between."""
    drawn = []
    for shape in LAYOUT.shapes:
        drawn.append(np.random.standard_normal(shape))  # noqa: NPY002  (an operator may draw from it)
        time.sleep(0.0002)
    return Individual(drawn)


WIRINGS = {
    "an adaptation that remembers": lambda: {"mutate": mutation(Shrinking())},
    "fused": lambda: {},
    "annealed": lambda: {"mutate": mutation(Annealed(0.3, 0.01, 8))},
    "a user's own": lambda: {
        "mutate": halve,
        "mate": tools.cxTwoPoint,
        "select": partial(tools.selTournament, tournsize=3),
    },
    "founders of NumPy's global generator": lambda: {"individual": drawn_globally},
    "each with its own sigma": lambda: {
        "mutate": mutation(SelfAdaptive(0.3, 0.01)),
    },
    "the one-fifth rule, biased": lambda: {
        "mutate": partial(mutGaussianAdaptive, sigma=OneFifth(0.3, 0.01)),
        "mate": cxBiased,
    },
    "a mask of a fifth": lambda: {"mate": partial(cxMask, indpb=0.2)},
    "four mates": lambda: {"mate": cxScanning, "mates": 4},
    "three mates": lambda: {"mate": cxScanning, "mates": 3},
    "opposites, each with its own sigma": lambda: {
        "mate": cxScanning,
        "mates": 4,
        "mutate": mutation(SelfAdaptive(0.3, 0.01)),
        "select": partial(selRankBoosted, parents=6, opposites=0.5),
    },
    "around a centre": lambda: {"recombination_weights": recombination_weights, "step": 2.5},
}


def plain_toolbox(**registered):
    """A toolbox wired by hand on a problem without TensorFlow."""
    toolbox = base.Toolbox()
    toolbox.register("mate", cxMask)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.05)
    toolbox.register("select", tools.selTournament, tournsize=3)
    toolbox.register("evaluate", sum_of_squares)
    for name, function in registered.items():
        toolbox.register(name, function)
    return toolbox


def members(n=10):
    return [Individual([np.random.default_rng(i).standard_normal((3, 3))]) for i in range(n)]
