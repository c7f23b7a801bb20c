"""Train the same network by other methods, in the same frame: ``baselines.py --method adam``.

Data, mini-batches, first network, candidates and files are those of ``experiments/mnist.py``. A generation is a step of
the method on one mini-batch. In a row of the log ``min`` to ``max`` are the fitness of the networks that the step
scored; ``train_error`` and ``val_error`` are those of the method's one network after it. Run it with ``python -m scoop
experiments/baselines.py`` to use every core if a method scores a population.

References
----------
D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, "Evolution strategies as a scalable alternative to reinforcement
learning", arXiv:1703.03864, 2017.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from deap import algorithms, tools
from deap.base import Toolbox
from numpy.typing import NDArray
from scipy.stats import rankdata
from terminal import Terminal

from deap_nn import make_toolbox
from deap_nn.algorithms.toolbox.settings import MODELS, OPTIONS, add_settings
from deap_nn.breeding.breeder import founder
from deap_nn.callbacks.base import Evolution, tell, telling_start_and_end
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.errors import InputError
from deap_nn.data.dataset import Dataset
from deap_nn.data.loading import find_dataset
from deap_nn.genome.vectors import LARGEST_WEIGHT, empty_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.maps import Map
from deap_nn.maps.options import MAP_OPTIONS, add_map_options, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.models import keras_extras
from deap_nn.operators.describe import describe_algorithm
from deap_nn.operators.mutation import matrix_factors
from deap_nn.operators.ranking import number_of_parents
from deap_nn.process import signals
from deap_nn.process.cli import Parser, check_new_folder, integer, number, run_command
from deap_nn.process.workers import worker_count

keras_extras.leave_out()
prepare_worker("deap_nn.problems.measures", "deap_nn.operators.compiled.centre")

RATES = {"sgd": 0.1, "adam": 0.001, "openai-es": 0.01, "random": None, "easimple": None}
"""The learning rate of each method; None if it has no learning rate."""

ONLY_FOR = {
    "rate": ("sgd", "adam", "openai-es"),
    "momentum": ("sgd",),
    "population": ("openai-es", "random", "easimple"),
    "sigma": ("openai-es",),
    "scale": ("openai-es",),
    "sampling": ("openai-es",),
    "final_sigma": ("openai-es",),
    "final_rate": ("openai-es",),
    "precision": ("openai-es", "random", "easimple"),
}
"""The methods of each option that is not for all methods."""

ADDED: dict[str, Any] = {"training_size": 0, "centred": False, "stratified": False}
ADDED |= dict.fromkeys(("sampling", "final_sigma", "final_rate"))
"""Options that ``config.json`` of older runs lacks, and their values then."""

NOT_STORED = ("output", "no_progress", *MAP_OPTIONS)
"""Options that are no settings of a run."""


class Method(Protocol):
    """A way to train: it has one network, and does a step on the mini-batch of a generation."""

    network: WeightList

    def step(self, generation: int) -> Sequence[float]:
        """Do a step, and return the fitness of each network that it scored."""


class Backpropagation:
    """Gradient descent with one of Keras' optimizers, through centred layers if the problem has them.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem.
    network : WeightList
        Where to begin.
    optimizer : keras.optimizers.Optimizer
        What turns a gradient into a step.
    """

    def __init__(self, toolbox: Toolbox, network: WeightList, optimizer: Any) -> None:
        from deap_nn.data.minibatches import Strata
        from deap_nn.models.layers import centred_layers
        from deap_nn.models.reference import trained_model
        from deap_nn.models.tensorflow import keras

        self._network = network
        self._toolbox = toolbox
        self._model = trained_model(toolbox.problem.model, network)
        labels = find_dataset(toolbox.problem.data).part("train")[1]
        self._strata = Strata.of(labels) if toolbox.problem.stratified else None
        self._centred = centred_layers(self._model) if toolbox.problem.centred else []
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # as the built-in models answer
        self._model.compile(optimizer=optimizer, loss=loss)

    @property
    def network(self) -> WeightList:
        """The network as it is now."""
        for matrix, variable in zip(self._network, self._model.trainable_variables, strict=True):
            matrix[...] = variable.numpy()
        return self._network

    def step(self, generation: int) -> Sequence[float]:
        """Descend along the gradient, and return the cross-entropy before that."""
        from deap_nn.core.errors import WORST
        from deap_nn.data.minibatches import batch_indices
        from deap_nn.models.layers import centring

        problem = self._toolbox.problem
        x, y = find_dataset(problem.data).part("train")
        chosen = batch_indices(problem.seed, generation, problem.batch_size, len(x), self._strata)
        samples = x[chosen].reshape(len(chosen), *self._model.input_shape[1:]).astype(np.float32)
        if x.dtype == np.uint8:
            samples /= 255.0
        with centring(self._centred):
            loss = float(self._model.train_on_batch(samples, y[chosen]))
        return [loss if math.isfinite(loss) else WORST]


class Around:
    """Gaussian noise around a centre, by place: each noise vector has two places, and is negated at the second one.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``mutate``, whose table of noise is used, and its scale of each matrix.
    seed, generation : int
        With the place they decide the noise.
    sigma : float
        Its standard deviation, where a matrix has no scale.
    """

    def __init__(self, toolbox: Toolbox, seed: int, generation: int, sigma: float) -> None:
        keywords = toolbox.mutate.keywords
        self._noise, self._shapes = keywords["noise"], toolbox.layout.shapes
        self._factors = np.array(matrix_factors(sigma, keywords["scale"], len(toolbox.layout)), np.float32)
        self._key = {"seed": seed, "generation": generation}

    def write(self, outs: Sequence[Any], centre: Any, places: Sequence[int]) -> None:
        """Write the networks at one or two places, as flat vectors."""
        from deap_nn.operators.compiled.centre import mutate_around

        mutate_around(outs, centre, self._noise.array(), self._factors, self._shapes, **self._key, places=places)

    def sum(self, weights: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the weighted sum of the noise vectors, in their order; shape (size,)."""
        from deap_nn.operators.compiled.centre import recombine

        size = sum(map(np.prod, self._shapes))
        total, counts = empty_vector(size), np.abs(weights)
        places = 2 * np.arange(len(weights)) + (weights < 0)  # the second one has the first one's noise negated
        if counts.any():
            key = {**self._key, "drawn": places, "counts": counts, "step": float(counts.sum())}
            recombine(total, np.zeros(size, np.float32), self._noise.array(), self._factors, self._shapes, **key)
        else:
            total[:] = 0
        return total


class ScoreAround:
    """A task of a map: score networks around a centre.

    Parameters
    ----------
    evaluate : callable
        The toolbox's, moved on to the generation.
    around : Around
        Their noise.
    mirrored : bool
        Whether each noise vector makes two networks, or one.
    """

    may_be_done_twice = True

    def __init__(self, evaluate: Callable[[WeightList], tuple[float]], around: Around, mirrored: bool) -> None:
        self.evaluate = evaluate
        self.around = around
        self.mirrored = mirrored

    def __call__(self, centre: Any) -> list[float]:
        """Return the fitness of the networks of the noise vectors ``centre.vectors``."""
        count = 2 if self.mirrored else 1
        members = [type(centre).from_flat(empty_vector(centre.flat.size), centre.shapes) for _ in range(count)]
        found = []
        for vector in range(*centre.vectors):
            self.around.write([member.flat for member in members], centre.flat, range(2 * vector, 2 * vector + count))
            found += [self.evaluate(member)[0] for member in members]
        return found


class OpenAIES:
    """The evolution strategy of Salimans and others: Gaussian noise, centred ranks, Adam.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem.
    network : WeightList
        Where to begin.
    optimizer : keras.optimizers.Optimizer
        What turns the estimate of the gradient into a step.
    population : int
        Networks scored a generation, even.
    sigma : float
        The standard deviation of the noise.
    mirrored : bool
        Whether each noise vector makes two networks, on opposite sides of the centre; `population` is then even.
    falling : tuple of (float, float, int)
        The factors of sigma and of the learning rate at the end, and the number of generations until then. Both fall
        geometrically.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        network: WeightList,
        optimizer: Any,
        population: int,
        sigma: float,
        *,
        mirrored: bool = True,
        falling: tuple[float, float, int] = (1.0, 1.0, 1),
    ) -> None:
        from deap_nn.models.tensorflow import keras

        self.network = network
        self._mirrored, self._falling, self._rate = mirrored, falling, float(optimizer.learning_rate)
        self._toolbox = toolbox
        self._optimizer = optimizer
        self._population = population
        self._sigma = sigma
        self._variable = keras.Variable(network.flat)

    def step(self, generation: int) -> Sequence[float]:
        """Score the population, go down, and return the fitness of each."""
        toolbox, workers = self._toolbox, worker_count(self._toolbox.map)
        passed = min(1.0, generation / self._falling[2])
        sigma = self._sigma * self._falling[0] ** passed
        self._optimizer.learning_rate = self._rate * self._falling[1] ** passed
        around = Around(toolbox, toolbox.problem.seed, generation, sigma)
        vectors = self._population // 2 if self._mirrored else self._population
        ends = np.linspace(0, vectors, min(8 * workers, vectors) + 1).astype(int)
        tasks = []
        for start, stop in itertools.pairwise(ends):
            tasks.append(type(self.network).from_flat(self.network.flat, self.network.shapes))
            tasks[-1].vectors = int(start), int(stop)
        score = ScoreAround(toolbox.evaluate.func, around, self._mirrored)
        scores = [score for some in toolbox.map(score, tasks) for score in some]
        ranks = centred_ranks(scores)
        weights = ranks[::2] - ranks[1::2] if self._mirrored else ranks
        gradient = around.sum(weights) / (self._population * sigma**2)
        self._optimizer.apply([gradient], [self._variable])
        self.network.flat[:] = self._variable.numpy()
        return scores


def centred_ranks(scores: Sequence[float]) -> NDArray[np.float64]:
    """Return the ranks of two or more, from -1/2 (lowest) to 1/2 (highest); those of equals are their mean."""
    ranks: NDArray[np.float64] = rankdata(scores)
    return (ranks - 1) / (len(scores) - 1) - 0.5


class ScoreFounder:
    """A task of a map: score the network that a place has at random."""

    may_be_done_twice = True

    def __init__(self, evaluate: Callable[[WeightList], tuple[float]], individual: Any, seed: int) -> None:
        self.evaluate = evaluate
        self.individual = individual
        self.seed = seed

    def __call__(self, place: int) -> float:
        """Return its fitness."""
        return self.evaluate(founder(self.individual, self.seed, place))[0]


class RandomSearch:
    """Each generation draws networks at random, and keeps the best of them and of the one that it has.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem; ``individual`` draws.
    network : WeightList
        Where to begin.
    population : int
        Networks scored a generation, with the one that it has.
    """

    def __init__(self, toolbox: Toolbox, network: WeightList, population: int) -> None:
        self.network = network
        self._toolbox = toolbox
        self._population = population

    def step(self, generation: int) -> Sequence[float]:
        """Score what is drawn, keep the best, and return the fitness of each."""
        toolbox = self._toolbox
        draw = ScoreFounder(toolbox.evaluate.func, toolbox.individual, toolbox.problem.seed)
        first = generation * self._population
        places = range(first + 1, first + self._population)
        scores = [toolbox.evaluate(self.network)[0], *toolbox.map(draw, places)]
        best = int(np.argmin(scores))
        if best:
            self.network = founder(draw.individual, draw.seed, first + best)
        return scores


class EASimple:
    """DEAP's unmodified ``eaSimple`` on the toolbox that `make_toolbox` wires, a generation at a time.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem, with the operators of the former `ga` (docs/results.md).
    population : int
        Networks scored a generation.
    seed : int
        Of Python's global generator, from which DEAP's loops draw.
    """

    def __init__(self, toolbox: Toolbox, population: int, seed: int) -> None:
        self._toolbox = toolbox
        self.population = toolbox.population(n=population)
        words = toolbox.select.keywords
        self.parents = number_of_parents(words["parents"], population, words["fewest"]) or population
        random.seed(seed)
        algorithms.eaSimple(self.population, toolbox, cxpb=1.0, mutpb=1.0, ngen=0, verbose=False)

    @property
    def network(self) -> WeightList:
        """The best member."""
        return tools.selBest(self.population, 1)[0]

    @property
    def sigma(self) -> float:
        """The mutation step size at present."""
        return float(self._toolbox.clock.sigma)

    def step(self, generation: int) -> Sequence[float]:
        """Run a generation of the loop, and return the fitness of each member."""
        algorithms.eaSimple(self.population, self._toolbox, cxpb=1.0, mutpb=1.0, ngen=1, verbose=False)
        return [individual.fitness.values[0] for individual in self.population]


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        "Train a network that reads digits by another method than a genetic algorithm.",
        "python experiments/baselines.py --method adam --model mlp --generations 300",
        "python -m scoop experiments/baselines.py --method openai-es --population 200",
    )
    parser.usage = "%(prog)s --method NAME [OPTION ...]"
    add = parser.groups["run"].add_argument
    add("--generations", type=integer(0), default=100, metavar="N", help="steps of the method")
    add("--model", choices=tuple(MODELS), default="mnist_deep", help="network, as for experiments/mnist.py")
    add = parser.groups["algorithm"].add_argument
    add("--method", choices=tuple(RATES), required=True, help="training method (required)")
    rates = ", ".join(f"{name} {rate}" for name, rate in RATES.items() if rate is not None)
    add("--rate", type=number(0), metavar="X", help=f"learning rate [{rates}]")
    add("--momentum", type=number(0, 1), metavar="X", help="sgd: momentum [0]")
    add("--population", type=integer(2), metavar="N", help="networks scored in a generation [200]")
    noise = "openai-es: sigma, in units of --scale [0.02]"
    add("--sigma", type=number(1e-6, LARGEST_WEIGHT), metavar="X", help=noise)
    add("--scale", choices=("none", "fan_in"), help="openai-es: unit of sigma for each matrix [none]")
    kinds = ("independent", "mirrored")
    add("--sampling", choices=kinds, help="openai-es: own noise, or +/- pairs [mirrored]")
    add("--final-sigma", type=number(1e-6, LARGEST_WEIGHT), metavar="X", help="openai-es: sigma at the end [--sigma]")
    add("--final-rate", type=number(1e-9), metavar="X", help="openai-es: learning rate at the end [--rate]")
    add = parser.groups["speed"].add_argument
    add("--precision", choices=("float32", "bfloat16"), help="arithmetic of a population's fitness [float32]")
    add_settings(parser, ("batch_size", "seed"))
    for name in ("centred", "stratified"):
        OPTIONS[name].add_to(parser, {"every method": False})
    add_settings(parser, ("dataset", "data", "validation_size", "training_size", "max_seconds", "threads"))
    add_settings(parser, ("output", "no_progress"))
    parser.set_defaults(training_size=0, centred=False, stratified=False)
    add_map_options(parser)
    return parser


def describe_method(options: argparse.Namespace, toolbox: Toolbox) -> str:
    """Return a sentence about the method."""
    if options.method == "easimple":
        return f"DEAP's eaSimple, {describe_algorithm(toolbox, options.population, mates=2)}"
    named = {
        "sgd": f"stochastic gradient descent with momentum {options.momentum}",
        "adam": "Adam",
        "openai-es": f"OpenAI's evolution strategy, {noise_of(options)}, ranks, Adam",
        "random": "random search",
    }
    rate = "" if options.rate is None else f", learning rate {options.rate:g}"
    return f"{named[options.method]}{rate}"


def noise_of(options: argparse.Namespace) -> str:
    """Return the noise of OpenAI's strategy in words."""
    sigma = f"a constant sigma {options.sigma}"
    if options.final_sigma is not None:
        sigma = f"sigma from {options.sigma} to {options.final_sigma}"
    return f"{options.sampling or 'mirrored'} noise of {sigma}"


def common_options(method: str) -> set[str]:
    """Return the names of the options that mean the same for a method and for ``experiments/mnist.py``."""
    names = vars(make_parser().parse_args(["--method=sgd"])).keys() - ONLY_FOR.keys()
    return names | {name for name in ("population", "precision") if method in ONLY_FOR[name]}


def complete(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in the method's default options, and check the options that depend on it."""
    usual = {"rate": RATES[options.method], "momentum": 0.0, "population": 200, "sigma": 0.02, "scale": "none"}
    for name, methods in ONLY_FOR.items():
        if options.method in methods and getattr(options, name) is None:
            setattr(options, name, usual.get(name))
        elif options.method not in methods and getattr(options, name) is not None:
            raise InputError(
                f"argument --{name.replace('_', '-')}: needs --method {' or '.join(methods)}, got {options.method}"
            )
    if options.method == "openai-es" and options.sampling != "independent" and options.population % 2:
        raise InputError(f"argument --population: must be even, got {options.population}")
    if options.final_rate is not None and not options.rate:
        raise InputError("argument --final-rate: needs a --rate above 0")
    return options


def method_of(options: argparse.Namespace, toolbox: Toolbox) -> Method:
    """Return the method of the options, at its start: the first member of mnist.py's population."""
    from deap_nn.models.tensorflow import keras

    keras.utils.set_random_seed(options.seed % 2**32)
    network = founder(toolbox.individual, options.seed, 0)
    if options.method == "random":
        return RandomSearch(toolbox, network, options.population)
    if options.method == "easimple":
        return EASimple(toolbox, options.population, options.seed)
    if options.method == "sgd":
        sgd = keras.optimizers.SGD(options.rate, momentum=options.momentum)
        return Backpropagation(toolbox, network, sgd)
    adam = keras.optimizers.Adam(options.rate)
    if options.method == "adam":
        return Backpropagation(toolbox, network, adam)
    finals = (options.final_sigma, options.sigma), (options.final_rate, options.rate)
    to_sigma, to_rate = (1.0 if last is None else last / first for last, first in finals)
    falling = to_sigma, to_rate, max(1, options.generations)
    mirrored = options.sampling != "independent"
    return OpenAIES(toolbox, network, adam, options.population, options.sigma, mirrored=mirrored, falling=falling)


def train(evolution: Evolution, method: Method, watching: Iterable[Any], sigma: float) -> None:
    """Do all steps; the log is that of ``evolve``, with the method's one network in place of the best member."""
    toolbox = evolution.toolbox
    begun = started = time.perf_counter()
    with telling_start_and_end(watching, evolution):
        for generation in range(evolution.generations + 1):
            if evolution.stop is not None:
                break
            evolution.generation = toolbox.evaluate.func.generation = generation
            with signals.heeding_signals():
                scores = method.step(generation) if generation else [toolbox.evaluate(method.network)[0]]
                network = copy.deepcopy(method.network)
                assessed = toolbox.assess(network, generation, map=evolution.map)
            row = {"gen": generation, "nevals": len(scores), "min": min(scores), "avg": float(np.mean(scores))}
            row |= {"std": float(np.std(scores)), "max": max(scores), **assessed}
            row["sigma"] = method.sigma if isinstance(method, EASimple) else sigma
            if isinstance(method, EASimple) and generation:
                evolution.population, evolution.parents = method.population, method.parents
            with signals.holding_signals():
                evolution.best = network
                now = time.perf_counter()
                evolution.seconds, evolution.elapsed, started = now - started, now - begun, now
                evolution.evaluations += len(scores)
                evolution.logbook.header = list(row)
                evolution.logbook.record(**row)
            with signals.heeding_signals():
                tell(watching, "on_generation", evolution)


def run(options: argparse.Namespace, dataset: Dataset, directory: RunDirectory, map_: Map, terminal: Terminal) -> None:
    """Train, and leave the whole run in its directory."""
    from mnist import keeping_result

    terminal.begin(directory, dataset.classes)
    toolbox = make_toolbox(
        options.model,
        dataset,
        seed=options.seed,
        batch_size=options.batch_size,
        centred=options.centred,
        stratified=options.stratified,
        parents=0.25,
        opposites=0,
        spread=1,
        validation_size=options.validation_size,
        scale="fan_in" if options.scale == "fan_in" or options.method == "easimple" else None,
        threads=options.threads,
        precision=options.precision or "float32",
    )
    toolbox.register("map", map_)
    terminal.describe(describe_method(options, toolbox), dataset.note)
    stored = {name: value for name, value in vars(options).items() if name not in NOT_STORED}
    known = {"fitness": "cross_entropy", "algorithm": describe_method(options, toolbox), "data": dataset.describe()}
    directory.write_config({**stored, **known})
    directory.trace_weights(toolbox.layout, options.seed)
    candidates = Candidates(toolbox, directory.path / "readouts.csv", training_size=options.training_size)
    callbacks: list[Any] = [EarlyStopping(max_seconds=options.max_seconds), directory, candidates]
    if terminal.bar is not None:
        callbacks.append(terminal.bar)
    with keeping_result(directory, toolbox, candidates, "cross_entropy", terminal):
        method = method_of(options, toolbox)
        evolution = Evolution(toolbox, [method.network], options.generations, toolbox.map, look=attrgetter("flat"))
        train(evolution, method, callbacks, options.sigma or 0.0)
        directory.enter("scoring the test digits")
        directory.status["test_error"] = toolbox.error_rate(candidates.individual, "test", map=toolbox.map)


def main() -> int:
    """Train by the method of the command line, and return the exit status."""
    from mnist import fresh_directory, read_data

    options = complete(make_parser().parse_args())
    with Terminal(quiet=options.no_progress) as terminal:
        if options.output is not None:
            check_new_folder(options.output, "--output")
        dataset = read_data(options)
        with signals.interruptible(), chosen_map(options) as map_, fresh_directory(options) as directory:
            run(options, dataset, directory, map_, terminal)
    return 0


if __name__ == "__main__":
    run_command(main)
