"""Evolve the weights of a network that reads digits.

Run it with ``python -m scoop experiments/mnist.py`` to use every core, or with plain ``python``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deap.base import Toolbox

from deap_nn import PRESETS, Callback, evolve, parallel, usual_step
from deap_nn.callbacks import VOTERS, EarlyStopping, ProgressBar, Readouts, TensorBoardLogger
from deap_nn.checkpoint import Checkpoint
from deap_nn.commands import InputError, Parser, check_new_folder, integer, number, run_command
from deap_nn.datafiles import DataError
from deap_nn.datasets import NAMES, Dataset, load_dataset
from deap_nn.exhibits import ANSWERS_FILE, FILTERS_FILE, FilterTrace, write_answers
from deap_nn.genome_cache import FEWEST_SLOTS, slots_in
from deap_nn.html_report import reported
from deap_nn.maps import Map
from deap_nn.maps.options import MAP_OPTIONS, add_map_options, asked_map
from deap_nn.resuming import KEYFRAME_BYTES, KEYFRAME_SECONDS
from deap_nn.rundir import (
    RunDirectory,
    asked_for,
    check_data,
    check_resumable,
    open_checkpoint,
    read_config,
    toolbox_of,
)
from deap_nn.seeding import MAX_SEED
from deap_nn.tensorboard_logger import check_new_log
from deap_nn.toolbox import CROSSOVERS, USUAL_INDPB, layout_names
from deap_nn.weights import LARGEST_WEIGHT

parallel.prepare_worker("deap_nn.evaluation", "deap_nn.fused", "deap_nn.pooled")

MODELS = {"mnist_deep": 3_274_634, "mlp": 50_890}
"""The built-in models, and how many weights they have."""

LAYERS = {"mnist_deep": 4, "mlp": 2}
"""How many layers of them have weights."""


QUICK_ANSWERS = 1000
"""On so many validation digits the answers are kept of a run that is broken off: who ends it does not wait long."""

NOT_STORED = ("output", "resume", "regardless", "no_progress", "tensorboard", *MAP_OPTIONS)
"""Options that are no settings of a run."""


ADDED = {
    "batch_generations": 1,
    "mutation_indpb": 1.0,
    "mutated_matrices": "all",
    "elites": 0,
    "elite_batches": 1,
    "training_size": 0,
    "voters": VOTERS,
}
"""Options that ``config.json`` of older runs does not have, and what they were then."""


SCHEDULES = ("error", "linear", "geometric", "constant", "one-fifth", "self-adaptive")
NEEDED = {
    "final_sigma": ("linear", "geometric", "one-fifth", "self-adaptive"),
    "schedule_generations": ("linear", "geometric"),
}
"""Options that some schedules have."""


def by_preset(name: str, *, but: str = "") -> str:
    """Return what each preset says that it is for, for the help."""
    said = {preset: settings[name] for preset, settings in PRESETS.items() if settings[name] is not None}
    said.pop(but, None)
    return ", ".join(f"{preset}: {value}" for preset, value in said.items())


def seconds_or_off(text: str) -> float | str:
    """Return a number of seconds of at least 0, or "off"."""
    return text if text == "off" else number(0)(text)


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("Evolve the weights of a network that reads digits, with a genetic algorithm.")
    add = parser.add_argument
    add("--population", type=integer(2), default=200, metavar="N", help="members of the population")
    add("--generations", type=integer(0), default=100, metavar="N", help="generations after the initial population")
    add(
        "--parents",
        type=integer(2),
        metavar="N",
        help="only the best N have children, under --preset default of the better ones of each pair; "
        f"{by_preset('parents')} of the population",
    )
    add(
        "--crossover",
        choices=tuple(CROSSOVERS),
        help=f"of two parents, under --preset default of all at once; {by_preset('crossover')}",
    )
    add(
        "--pressure",
        type=number(1, 2),
        metavar="X",
        help=f"of the linear ranking; {by_preset('pressure', but='default')}",
    )
    add(
        "--boost",
        type=number(0.001, 1e9),
        metavar="X",
        help=f"the very best counts so many times; {by_preset('boost', but='default')}",
    )
    add("--tournsize", type=integer(1), metavar="N", help="mask, article: draw parents by tournaments of N")
    add("--elites", type=integer(0), metavar="N", help="mask, article: so many of the best live on; by default none")
    add("--elite-batches", type=integer(1), metavar="N", help="a new batch is an Nth of their fitness; by default all")
    add(
        "--mates",
        type=integer(2, 256),
        metavar="N",
        help=f"mask, average: how many are mated at a time; {by_preset('mates')}",
    )
    add(
        "--indpb",
        type=number(0, 1),
        metavar="X",
        help="a locus, matrix or unit is exchanged so probably; biased: is the less fit one's",
    )
    add(
        "--step",
        type=number(1e-6, 999_999),
        metavar="X",
        help="how far to go from a centre towards the mean of the chosen; default: the square root of 24 members for "
        "each generation and layer; --resume keeps it",
    )
    add("--batch-size", type=integer(1), default=64, metavar="N", help="digits that a generation is scored on")
    add("--batch-generations", type=integer(1), metavar="N", help="how many generations they stay; by default 1")
    add("--seed", type=integer(0, MAX_SEED), default=1, metavar="N", help="decides everything random")
    add("--model", choices=tuple(MODELS), default="mnist_deep", help="a CNN of 3.27 million weights, or 784-64-10")
    add("--fitness", choices=("error", "cross_entropy"), help=f"what is minimised; {by_preset('fitness')}")
    add(
        "--preset",
        choices=tuple(PRESETS),
        default="default",
        help="all the chosen are mated at once, which learns best, or two by a mask, or the article's settings",
    )
    strength = number(0, LARGEST_WEIGHT)
    add("--sigma", type=strength, metavar="X", help=f"strength of mutation at first; {by_preset('sigma')}")
    add(
        "--schedule",
        choices=SCHEDULES,
        help="what it goes by: the best one's error, the generations, nothing, success, or selection; "
        f"{by_preset('schedule')}",
    )
    add("--final-sigma", type=strength, metavar="X", help="the last one, or the least; by default a twentieth")
    add("--schedule-generations", type=integer(1), metavar="N", help="when that is reached; by default --generations")
    add(
        "--scale",
        choices=("none", "fan_in", "own"),
        help=f"of mutation, by matrix; {by_preset('scale')}, article: none",
    )
    add("--mutation-indpb", type=number(0, 1), metavar="X", help="a weight is mutated so probably; by default 1")
    add("--mutated-matrices", choices=("all", "one"), help="of each child; by default all")
    add("--dataset", choices=NAMES, default="auto", help="auto: full MNIST if it is to be had, else mnist5k")
    add("--data", metavar="PATH", help="read the data from a folder of IDX files or an .npz file; by default --dataset")
    add("--validation-size", type=integer(1), default=1000, metavar="N", help="validation digits a generation")
    on_training = "first training digits that the candidates for the result are scored on too; by default none"
    add("--training-size", type=integer(0), metavar="N", help=on_training)
    add("--voters", type=integer(0), metavar="N", help=f"so many parents vote at the end; by default {VOTERS}")
    add("--output", metavar="DIR", help="a new folder for the run; by default a fresh one under runs/")
    add("--resume", metavar="DIR", help="go on with the run in this folder, with its settings; see --generations")
    add("--regardless", action="store_true", help="resume with other versions, or before damage to the checkpoint")
    add("--target", type=number(0, 1), metavar="X", help="stop at a validation error of at most X; by default never")
    add(
        "--patience",
        type=integer(1),
        metavar="N",
        help="stop after N generations without a better one; by default never",
    )
    add("--max-seconds", type=number(0), metavar="X", help="stop once X seconds have passed; by default never")
    add("--threads", type=integer(1), default=1, metavar="N", help="TensorFlow's threads in each process")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="what the fitness is computed in")
    add("--device", choices=("cpu", "gpu"), default="cpu", help="results are promised to repeat on cpu alone")
    add("--breeding", choices=("recipes", "plain"), default="recipes", help="send recipes to the workers, or weights")
    add("--group-size", type=integer(1), metavar="N", help="members in a task; by default as many as suit the model")
    add("--cache", metavar="DIR", help="where this host's processes share the parents; by default in shared memory")
    add("--cache-size", type=integer(0), metavar="MIB", help="how much that may take; by default three quarters of it")
    add(
        "--timeout",
        type=number(0.001),
        metavar="X",
        help="end the run if an evaluation takes X seconds; by default never",
    )
    add(
        "--keyframes",
        type=seconds_or_off,
        metavar="X",
        help="keep the parents' weights when breeding them again would take X seconds, for a quick --resume, or off; "
        f"by default {KEYFRAME_SECONDS:g}",
    )
    add(
        "--keyframe-space",
        type=integer(0),
        metavar="MIB",
        help=f"no keyframe that takes more is kept; by default {KEYFRAME_BYTES >> 20}",
    )
    add("--tensorboard", metavar="DIR", help="write events for TensorBoard there; by default none")
    add("--no-progress", action="store_true", help="show no progress; by default it is shown")
    add_map_options(parser)
    return parser


def parse_arguments() -> argparse.Namespace:
    """Return the options: those of the command line, or of the run that it says to resume."""
    parser = make_parser()
    options = parser.parse_args()
    if options.resume is None:
        if options.regardless:
            raise InputError("argument --regardless: is for --resume")
        return complete(options)
    named = {argument.partition("=")[0] for argument in sys.argv[1:]}
    given = {action.dest: action for action in parser._actions if named & set(action.option_strings)}
    anew = {"resume", "regardless", "generations", "group_size", "cache", "cache_size", "no_progress"}
    anew |= {"timeout", "keyframes", "keyframe_space", "data", "tensorboard", *MAP_OPTIONS}
    for name, action in given.items():
        if name not in anew:
            raise InputError(f"argument {action.option_strings[0]}: cannot be given with --resume, the run has its own")
    config = read_config(options.resume, "--resume")
    if config.get("breeding") == "plain":
        raise InputError("argument --resume: a run that was bred the plain way has no checkpoint")
    data = config.pop("data", None)
    if isinstance(data, dict) and "data" not in given:
        config |= {"data": data["path"]} if data.get("path") else {"dataset": data.get("name")}
    needed = [action.dest for action in parser._actions if action.default is not None and action.nargs != 0]
    missing = {name for name in (*needed, "schedule") if config.get(name) is None} - {*anew, *NOT_STORED, "dataset"}
    if missing:
        raise InputError(f"argument --resume: config.json has no {min(missing)}")
    # The stored settings are read as a command line is, so that they are checked like one.
    stored = [
        f"{action.option_strings[0]}={config[action.dest]}"
        for action in parser._actions
        if action.nargs != 0 and action.dest not in {*given, *NOT_STORED} and config.get(action.dest) is not None
    ]
    if "generations" not in given and isinstance(config.get("generations"), int):
        stored.append(f"--generations={asked_for(options.resume, config)}")
    try:
        going_on = complete(parser.parse_args([*sys.argv[1:], *stored]))
    except InputError as error:
        raise InputError(f"argument --resume: config.json: {error}") from error
    check_resumable(options.resume, config, going_on.generations, regardless=options.regardless)
    return going_on


def complete(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in the options that a preset decides, and check those that depend on each other."""
    preset = PRESETS[options.preset]
    if options.crossover is None:
        options.crossover = preset["crossover"]
    elif (options.crossover == "mean") != (preset["crossover"] == "mean"):
        raise InputError(f"argument --crossover: {options.crossover} is not for --preset {options.preset}")
    for name in ("mates", "step"):
        if getattr(options, name) is None:
            setattr(options, name, preset[name])
            if options.step == "usual":
                options.step = usual_step(options.population, max(1, options.generations), LAYERS[options.model])
        elif preset[name] is None:
            raise InputError(f"argument --{name}: is not for --preset {options.preset}")
    complete_selection(options)
    for name, usual in ADDED.items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    if options.scale is None:
        options.scale = preset["scale"] or "none"
    if options.mates is not None and options.mates > 2 and options.crossover not in ("mask", "average"):
        raise InputError(f"argument --mates: must be 2 where --crossover is {options.crossover}, got {options.mates}")
    has_indpb = options.crossover in USUAL_INDPB and options.mates == 2
    if options.indpb is not None and not has_indpb:
        raise InputError(f"argument --indpb: is for two mates and --crossover {' or '.join(USUAL_INDPB)}")
    if options.indpb is None and has_indpb:
        options.indpb = USUAL_INDPB[options.crossover]
    if options.indpb and options.crossover == "none":
        raise InputError(f"argument --indpb: must be 0 where --crossover is none, got {options.indpb:g}")
    complete_elites(options)
    complete_schedule(options)
    if options.cache is not None and not Path(options.cache).is_dir():
        raise InputError(f"argument --cache: {options.cache} is not a folder")
    if options.cache_size is not None and slots_in(options.cache_size * 2**20, MODELS[options.model]) < FEWEST_SLOTS:
        raise InputError(f"argument --cache-size: {options.cache_size} MiB hold fewer than {FEWEST_SLOTS} networks")
    for name in ("group_size", "cache", "cache_size", "timeout", "keyframes", "keyframe_space"):
        if options.breeding == "plain" and getattr(options, name) is not None:
            raise InputError(f"argument --{name.replace('_', '-')}: needs --breeding recipes")
    if options.breeding == "recipes":
        options.keyframes = KEYFRAME_SECONDS if options.keyframes is None else options.keyframes
        options.keyframe_space = KEYFRAME_BYTES >> 20 if options.keyframe_space is None else options.keyframe_space
    if options.fitness is None:
        options.fitness = preset["fitness"]
    return options


def complete_selection(options: argparse.Namespace) -> None:
    """Fill in how parents are drawn: by rank, by tournaments, or the better ones of pairs."""
    preset, by_tournament = PRESETS[options.preset], options.tournsize is not None
    if by_tournament and options.crossover == "mean":
        raise InputError(f"argument --tournsize: is not for --preset {options.preset}")
    if options.parents is None:
        share = 1.0 if by_tournament else preset["parents"]
        options.parents = max(2, round(share * options.population))
    elif options.parents > options.population:
        raise InputError(
            f"argument --parents: must be at most the population of {options.population}, got {options.parents}"
        )
    elif by_tournament and options.parents < options.population:
        raise InputError("argument --parents: is not for --tournsize, which draws from all")
    other = "--tournsize" if by_tournament else f"--preset {options.preset}"
    for name in ("pressure", "boost"):
        if getattr(options, name) is None:
            setattr(options, name, preset[name])
        elif getattr(options, name) != preset[name] and (by_tournament or options.crossover == "mean"):
            raise InputError(f"argument --{name}: is not for {other}")


def complete_elites(options: argparse.Namespace) -> None:
    """Check who lives on."""
    if options.elites >= options.population:
        raise InputError(
            f"argument --elites: must be below the population of {options.population}, got {options.elites}"
        )
    if options.elites and options.crossover == "mean":
        raise InputError(f"argument --elites: is not for --preset {options.preset}")
    if options.elite_batches > 1 and not options.elites:
        raise InputError("argument --elite-batches: needs --elites")


def complete_schedule(options: argparse.Namespace) -> None:
    """Fill in how the strength of mutation falls."""
    preset = PRESETS[options.preset]
    if options.sigma is None:
        options.sigma = preset["sigma"]
    if options.schedule is None:
        options.schedule = preset["schedule"]
    if options.schedule == "self-adaptive" and options.crossover == "mean":
        raise InputError(f"argument --schedule: self-adaptive is not for --preset {options.preset}")
    for name, schedules in NEEDED.items():
        if getattr(options, name) is not None and options.schedule not in schedules:
            option, needed = f"--{name.replace('_', '-')}", " or ".join(schedules)
            raise InputError(f"argument {option}: needs --schedule {needed}, got {options.schedule}")
    if options.schedule in NEEDED["final_sigma"]:
        if options.final_sigma is None:
            options.final_sigma = (preset["final_sigma"] or 0.05) * options.sigma
        if options.final_sigma == 0 and options.sigma > 0:
            raise InputError("argument --final-sigma: must be above 0")
        if options.final_sigma > options.sigma and options.schedule not in NEEDED["schedule_generations"]:
            raise InputError(f"argument --final-sigma: must be at most --sigma {options.sigma:g}")
    if options.schedule in NEEDED["schedule_generations"] and options.schedule_generations is None:
        options.schedule_generations = max(1, options.generations)


def read_data(options: argparse.Namespace) -> Dataset:
    """Return the data that the options name, checked against the batch size."""
    option = "--dataset" if options.data is None else "--data"
    try:
        dataset = load_dataset(options.dataset, options.data)
    except DataError as error:
        raise InputError(f"argument {option}: {error}") from error
    if options.batch_size > len(dataset.x_train):
        raise InputError(
            f"argument --batch-size: must be at most the {len(dataset.x_train)} training digits, "
            f"got {options.batch_size}"
        )
    return dataset


def make_directory(options: argparse.Namespace) -> RunDirectory:
    """Return the folder of the run: a new one, or that of the run to go on with."""
    if options.resume is not None:
        return RunDirectory(options.resume, again=True, asked_generations=options.generations)
    return fresh_directory(options)


def fresh_directory(options: argparse.Namespace) -> RunDirectory:
    """Make the folder of a run: the one asked for, or one under ``runs/`` whose name is not taken."""
    asked = {"asked_generations": options.generations}
    if options.output is not None:
        return RunDirectory.create(check_new_folder(options.output, "--output"), "--output", **asked)
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-seed{options.seed}"
    for name in itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2))):
        with contextlib.suppress(FileExistsError):
            return RunDirectory(Path("runs", name), **asked)
    raise AssertionError  # the names do not end


def settings(options: argparse.Namespace, dataset: Dataset, toolbox: Toolbox) -> dict[str, Any]:
    """Return what ``config.json`` holds."""
    chosen = {name: value for name, value in vars(options).items() if name not in NOT_STORED}
    return {
        **chosen,
        "init": PRESETS[options.preset]["init"],
        "boosted": toolbox.select.keywords.get("boosted"),
        "cxpb": 1.0,
        "mutpb": 1.0,
        "adaptation": repr(toolbox.clock.adaptation),
        "validation_size": toolbox.assess.func.validation_size,
        "noise_sha256": toolbox.mutate.keywords["noise"].sha256(),
        "data": dataset.describe(),
        "workers": parallel.worker_count(toolbox.map),
    }


def events_logger(options: argparse.Namespace) -> TensorBoardLogger | None:
    """Return what writes events for TensorBoard, if that is asked for."""
    if options.tensorboard is None:
        return None
    try:
        if options.resume is None:
            check_new_log(Path(options.tensorboard))
        return TensorBoardLogger(options.tensorboard)
    except (ImportError, ValueError) as error:
        raise InputError(f"argument --tensorboard: {error}") from error


def run(
    options: argparse.Namespace,
    dataset: Dataset,
    directory: RunDirectory,
    checkpoint: Checkpoint | None,
    events: TensorBoardLogger | None,
    map_: Map,
) -> None:
    """Evolve, and leave the whole run in its directory."""
    toolbox = toolbox_of(PRESETS[options.preset] | vars(options), dataset)
    toolbox.register("map", map_)
    if options.resume is None:
        directory.write_config(settings(options, dataset, toolbox))
    directory.trace_weights(toolbox.layout, options.seed)
    beside = {"training_size": options.training_size, "voters": options.voters}
    readouts = Readouts(toolbox, directory.path / "readouts.csv", **beside)
    stopping = EarlyStopping(target=options.target, patience=options.patience, max_seconds=options.max_seconds)
    filters = FilterTrace(directory.path / FILTERS_FILE, toolbox.layout, dataset.x_train.shape[1:])
    callbacks: list[Callback] = [stopping, directory, readouts, filters]
    if not options.no_progress:
        callbacks.append(ProgressBar())
    if events is not None:
        callbacks.append(events)
    with keeping_result(directory, toolbox, readouts, options.fitness):
        population = toolbox.population(n=options.population)
        evolve(
            population,
            toolbox,
            options.generations,
            seed=options.seed,
            callbacks=callbacks,
            checkpoint=checkpoint,
            breeding=options.breeding,
            group_size=options.group_size,
            cache=Path(options.cache) if options.cache is not None else None,
            cache_size=options.cache_size * 2**20 if options.cache_size is not None else None,
            timeout=options.timeout,
            keyframe_seconds=None if options.keyframes == "off" else options.keyframes,
            keyframe_bytes=(options.keyframe_space or 0) * 2**20,
        )
        directory.status["test_error"] = toolbox.error_rate(readouts.individual, "test", map=toolbox.map)
    if not options.no_progress:
        status = directory.status
        errors = f"test error {status['test_error']:.4f}, validation error {status['validation_error']:.4f}"
        print(f"{errors}: {directory.path}")


@contextlib.contextmanager
def keeping_result(directory: RunDirectory, toolbox: Toolbox, readouts: Readouts, fitness: str) -> Iterator[None]:
    """Save the result of the run that is the body, also of one that is broken off."""
    try:
        with parallel.heeding_signals():
            yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            after = directory.status.get("generations", "none")
            print(f"interrupted after generation {after}: {directory.path}", flush=True)
        if readouts.individual is not None:
            try:
                save_result(directory, toolbox, readouts, fitness, size=QUICK_ANSWERS)
            except Exception as second:  # what ended the run is what is told
                error.add_note(f"and then: {type(second).__name__}: {second}")
        raise
    save_result(directory, toolbox, readouts, fitness)
    directory.close("finished")


def save_result(
    directory: RunDirectory, toolbox: Toolbox, readouts: Readouts, fitness: str, *, size: int | None = None
) -> None:
    """Write the network that did best, what is known of it, what it answers, and the pictures."""
    from deap_nn.report import draw_run

    directory.status |= {
        "validation_error": readouts.validation_error,
        "generation": readouts.generation,
        "readout": readouts.readout,
        **readouts.vote,
    }
    directory.write_weights(layout_names(toolbox.layout, readouts.individual))
    directory.write_model(toolbox.to_model(readouts.individual))
    draw_run(directory.path, fitness=fitness)
    write_answers(directory.path / ANSWERS_FILE, toolbox, readouts.individual, size=size)


def main() -> int:
    """Run the experiment that the command line asks for, and return the exit status."""
    options = parse_arguments()
    if options.output is not None:
        check_new_folder(options.output, "--output")
    events = events_logger(options)
    dataset = read_data(options)
    going_on: Checkpoint | None = None
    if options.resume is not None:
        check_data(options.resume, dataset.reference.sha256, regardless=options.regardless)
        going_on = open_checkpoint(options.resume, regardless=options.regardless)
    with parallel.interruptible(), asked_map(options) as map_, reported(make_directory(options)) as directory:
        if options.resume is None:
            going_on = Checkpoint(directory.path / "checkpoint") if options.breeding == "recipes" else None
        if not options.no_progress:
            print(f"{dataset.note}; run: {directory.path}", flush=True)
        with contextlib.closing(going_on) if going_on is not None else contextlib.nullcontext():
            run(options, dataset, directory, going_on, events, map_)
    return 0


if __name__ == "__main__":
    run_command(main)
