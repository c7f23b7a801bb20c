"""Train the same network by other methods, in the same frame: ``baselines.py --method adam``.

Data, mini-batches, first network, candidates and files are those of ``experiments/mnist.py``. A generation is a step of
the method on one mini-batch. In a row of the log ``min`` to ``max`` are the fitness of the networks that the step
scored; ``train_error`` and ``val_error`` are those of the method's one network after it. Run it with ``python -m scoop
experiments/baselines.py`` to use every core if a method scores a population. The method `noise` is the preset `ga`
with the operator of ``own_operators.py``.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy as np
from baseline_methods import CMAES, Backpropagation, Method, OpenAIES, RandomSearch
from deap.base import Toolbox
from mnist_options import Settings
from own_operators import cxNoise
from terminal import Terminal

from deap_nn import GA, evolve, make_toolbox
from deap_nn.algorithms.algorithm import MODELS
from deap_nn.breeding.breeder import founder
from deap_nn.callbacks.base import Evolution, tell, telling_start_and_end
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.arguments import add_options
from deap_nn.core.environment import leave_out_extras
from deap_nn.core.errors import InputError
from deap_nn.data.dataset import Dataset
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.maps import MAP_OPTIONS, add_map_options, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.operators.crossover import MOST_MATES
from deap_nn.process import signals
from deap_nn.process.cli import Parser, check_new_folder, integer, number, run_command

leave_out_extras()
prepare_worker("deap_nn.problems.evaluate", "deap_nn.operators.compiled.centre")

RATES = {"sgd": 0.1, "adam": 0.001, "openai-es": 0.01, "random": None, "cma-es": None, "noise": None}
"""The learning rate of each method; None if it has no learning rate."""

ONLY_FOR = {
    "rate": ("sgd", "adam", "openai-es"),
    "momentum": ("sgd",),
    "population": ("openai-es", "random", "cma-es", "noise"),
    "mates": ("noise",),
    "sigma": ("openai-es", "cma-es"),
    "scale": ("openai-es", "cma-es"),
    "sampling": ("openai-es",),
    "final_sigma": ("openai-es",),
    "final_rate": ("openai-es",),
    "precision": ("openai-es", "random", "cma-es", "noise"),
}
"""The methods of each option that is not for all methods."""

SHARED = ("batch_size", "seed", "dataset", "data", "max_seconds", "threads", "output", "no_progress")
"""The options of ``experiments/mnist.py`` that mean the same here."""

NOT_STORED = ("output", "no_progress", *MAP_OPTIONS)
"""Options that are no settings of a run."""


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        "Train a network that reads digits by another method, or by `ga` with another operator.",
        "python experiments/baselines.py --method adam --model mlp --generations 300",
        "python -m scoop experiments/baselines.py --method openai-es --population 200",
    )
    parser.usage = "%(prog)s --method NAME [OPTION ...]"
    add = parser.groups["run"].add_argument
    add("--generations", type=integer(0), default=100, metavar="N", help="steps of the method")
    add("--model", choices=MODELS, default="mnist_deep", help="network, as for experiments/mnist.py")
    add = parser.groups["algorithm"].add_argument
    add("--method", choices=tuple(RATES), required=True, help="training method (required)")
    rates = ", ".join(f"{name} {rate}" for name, rate in RATES.items() if rate not in (None, 0.1))
    add("--rate", type=number(0), metavar="X", help=f"learning rate [0.1, {rates}]")
    add("--momentum", type=number(0, 1), metavar="X", help="sgd: momentum [0]")
    add("--population", type=integer(2), metavar="N", help="networks scored in a generation [200]")
    noise = "openai-es, cma-es: sigma, in units of --scale [0.02]"
    add("--sigma", type=number(1e-6, LARGEST_WEIGHT), metavar="X", help=noise)
    add("--scale", choices=("none", "fan_in"), help="openai-es, cma-es: unit of sigma by matrix [none]")
    kinds = ("independent", "mirrored")
    add("--sampling", choices=kinds, help="openai-es: own noise, or +/- pairs [mirrored]")
    add("--final-sigma", type=number(1e-6, LARGEST_WEIGHT), metavar="X", help="openai-es: sigma at the end [--sigma]")
    add("--final-rate", type=number(1e-9), metavar="X", help="openai-es: learning rate at the end [--rate]")
    add("--mates", type=integer(2, MOST_MATES), metavar="N", help="noise: parents of a child [4]")
    add = parser.groups["speed"].add_argument
    add("--precision", choices=("float32", "bfloat16"), help="arithmetic of a population's fitness [float32]")
    shared = {name: getattr(Settings, name) for name in SHARED}
    layers = {"centred": False, "stratified": False}
    add_options(parser, Settings, shared, only=SHARED)
    add_options(parser, GA, layers, only=layers)
    parser.set_defaults(**shared, **layers)
    add_map_options(parser)
    return parser


def describe_method(options: argparse.Namespace) -> str:
    """Return a sentence about the method."""
    sigma = f"a constant sigma {options.sigma}"
    if options.final_sigma is not None:
        sigma = f"sigma from {options.sigma} to {options.final_sigma}"
    named = {
        "sgd": f"stochastic gradient descent with momentum {options.momentum}",
        "adam": "Adam",
        "openai-es": f"OpenAI's evolution strategy, {options.sampling or 'mirrored'} noise of {sigma}, ranks, Adam",
        "random": "random search",
        "cma-es": f"CMA-ES with a diagonal covariance matrix and a first sigma of {options.sigma}",
        "noise": f"ga with noise of the variance of {options.mates} parents in place of a crossover",
    }
    rate = "" if options.rate is None else f", learning rate {options.rate:g}"
    return f"{named[options.method]}{rate}"


def common_options(method: str) -> set[str]:
    """Return the names of the options that mean the same for a method and for ``experiments/mnist.py``."""
    names = vars(make_parser().parse_args(["--method=sgd"])).keys() - ONLY_FOR.keys()
    return names | {name for name in ("population", "precision") if method in ONLY_FOR[name]}


def complete(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in the method's default options, and check the options that depend on it."""
    usual = {"rate": RATES[options.method], "momentum": 0.0, "population": 200, "sigma": 0.02, "scale": "none"}
    usual["mates"] = 4
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
    if options.method == "cma-es":
        return CMAES(toolbox, network, options.population, options.sigma)
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
            evolution.generation = toolbox.clock.count.generation = generation
            with signals.heeding_signals():
                scores = method.step(generation) if generation else [toolbox.evaluate(method.network)[0]]
                network = copy.deepcopy(method.network)
                assessed = toolbox.assess(network, generation, map=evolution.map)
            row = {"gen": generation, "nevals": len(scores), "min": min(scores), "avg": float(np.mean(scores))}
            row |= {"std": float(np.std(scores)), "max": max(scores), **assessed, "sigma": sigma}
            with signals.holding_signals():
                evolution.best = network
                now = time.perf_counter()
                evolution.seconds, evolution.elapsed, started = now - started, now - begun, now
                evolution.evaluations += len(scores)
                evolution.logbook.header = list(row)
                evolution.logbook.record(**row)
            with signals.heeding_signals():
                tell(watching, "on_generation", evolution)


def wired(options: argparse.Namespace, dataset: Dataset) -> Toolbox:
    """Return the toolbox of the run; this imports TensorFlow."""
    scale = options.scale or "none"
    layers = {"centred": options.centred, "stratified": options.stratified, "projected": False}
    selection = {"parents": 0.25, "opposites": 0, "spread": 1}
    return make_toolbox(
        options.model,
        dataset,
        GA() if options.method == "noise" else GA(scale=scale, **layers, **selection),
        seed=options.seed,
        batch_size=options.batch_size,
        threads=options.threads,
        precision=options.precision or "float32",
    )


def run(
    options: argparse.Namespace, dataset: Dataset, directory: RunDirectory, toolbox: Toolbox, terminal: Terminal
) -> None:
    """Train, and leave the whole run in its directory."""
    from mnist import keeping_result

    terminal.begin(directory, describe_method(options), dataset, options.dataset)
    stored = {name: value for name, value in vars(options).items() if name not in NOT_STORED}
    known = {"fitness": "cross_entropy", "algorithm": describe_method(options), "data": dataset.describe()}
    directory.write_config({**stored, **known})
    directory.trace_weights(toolbox.layout, options.seed)
    candidates = Candidates(toolbox, directory.path / "readouts.csv")
    callbacks: list[Any] = [directory, candidates]
    if options.max_seconds is not None:
        callbacks.insert(0, EarlyStopping(max_seconds=options.max_seconds))
    if terminal.bar is not None:
        callbacks.append(terminal.bar)
    with keeping_result(directory, toolbox, candidates, terminal):
        if options.method == "noise":
            toolbox.register("mate", cxNoise)
            toolbox.mates = options.mates
            population = toolbox.population(n=options.population)
            evolve(population, toolbox, options.generations, seed=options.seed, callbacks=callbacks)
        else:
            method = method_of(options, toolbox)
            evolution = Evolution(toolbox, [method.network], options.generations, toolbox.map, look=attrgetter("flat"))
            train(evolution, method, callbacks, options.sigma or 0.0)


def main() -> int:
    """Train by the method of the command line, and return the exit status."""
    from mnist import fresh_directory, read_data

    options = complete(make_parser().parse_args())
    with Terminal(quiet=options.no_progress) as terminal:
        if options.output is not None:
            check_new_folder(options.output, "--output")
        dataset = read_data(options)
        with signals.interruptible(), chosen_map(options) as map_:
            terminal.show("importing TensorFlow")
            toolbox = wired(options, dataset)
            toolbox.register("map", map_)
            with fresh_directory(options) as directory:  # not before: an interrupted import leaves nothing
                run(options, dataset, directory, toolbox, terminal)
    return 0


if __name__ == "__main__":
    run_command(main)
