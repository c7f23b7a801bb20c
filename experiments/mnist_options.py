"""The options of ``experiments/mnist.py``, completed by what a preset says and checked against each other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from deap_nn import usual_step
from deap_nn.algorithms.resuming import KEYFRAME_BYTES, KEYFRAME_SECONDS
from deap_nn.algorithms.toolbox.presets import ALIASES, SETTINGS, SPREADS, canonical
from deap_nn.algorithms.toolbox.presets import NAMES as PRESETS
from deap_nn.breeding.store.slots import FEWEST_SLOTS, segment_bytes, slots_in
from deap_nn.callbacks.readouts import VOTERS
from deap_nn.core.environment import MOST_THREADS
from deap_nn.core.errors import InputError
from deap_nn.core.seeding import MAX_SEED
from deap_nn.data.registry import NAMES
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.maps.options import MAP_OPTIONS, add_map_options
from deap_nn.operators.by_name import CROSSOVERS, ArgumentError, checked_indpb
from deap_nn.operators.ranking import number_of_parents
from deap_nn.process.cli import Parser, integer, number
from deap_nn.runs.config import FILES, asked_for, check_resumable, kept_files, read_config, restore_config

MODELS = {"mnist_deep": 3_274_634, "lenet5": 61_706, "mlp": 50_890}
"""The built-in models, and how many weights they have."""

LAYERS = {"mnist_deep": 4, "lenet5": 5, "mlp": 2}
"""How many layers of them have weights."""


NOT_STORED = ("output", "resume", "force", "no_progress", "tensorboard", *MAP_OPTIONS)
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


def as_now(config: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings as they are named now, and with what older runs did before there was a choice."""
    if config.get("preset") in ALIASES:
        config = config | {"preset": ALIASES[config["preset"]]}
    return {"sampling": "mirrored"} | config if config.get("crossover") == "mean" else config


def preset_name(text: str) -> str:
    """Return the name of an algorithm, as an argparse type does; former names are taken too."""
    try:
        return canonical(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {', '.join(PRESETS[:-1])} or {PRESETS[-1]}, got {text!r}") from None


def without_effect(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the settings that ``config.json`` of a run has though they decide nothing."""
    if config.get("step") is not None:
        return ("pressure", "boost", "mates", "indpb", "elites", "elite_batches", "tournsize")
    return ("pressure", "boost", "parents") if config.get("tournsize") is not None else ()


SCHEDULES = ("error", "linear", "geometric", "constant", "one-fifth", "self-adaptive")
NEEDED = {
    "final_sigma": ("linear", "geometric", "one-fifth", "self-adaptive"),
    "schedule_generations": ("linear", "geometric"),
}
"""Options that some schedules have."""


def by_preset(name: str, *, but: str = "") -> str:
    """Return the value of an option under each preset, for the help."""
    said = {preset: SETTINGS[preset][name] for preset in PRESETS if SETTINGS[preset][name] is not None}
    said.pop(but, None)
    return ", ".join(f"{preset}: {value}" for preset, value in said.items())


def size_of(options: argparse.Namespace) -> tuple[int, int]:
    """Return how many weights the model has, and how many of its matrices are no biases or gains."""
    if options.keras is None:
        return MODELS[options.model], LAYERS[options.model]
    from deap_nn.models.reference import layout_of, load_model, reference_of
    from deap_nn.models.tensorflow import configure_tensorflow

    configure_tensorflow(options.threads, options.device)
    try:
        layout = layout_of(reference_of(load_model(Path(options.keras))))
    except ValueError as error:
        raise InputError(f"argument --keras: {error}") from error
    return layout.size, max(1, layout.vectors.count(False))


def seconds_or_off(text: str) -> float | str:
    """Return a number of seconds of at least 0, or "off"."""
    return text if text == "off" else number(0)(text)


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("Evolve the weights of a network that reads digits, with a genetic algorithm.")
    add = parser.add_argument
    add("--population", type=integer(2), default=200, metavar="N", help="members of the population")
    add("--generations", type=integer(0), default=150, metavar="N", help="generations after the initial population")
    add(
        "--parents",
        type=integer(2),
        metavar="N",
        help="only the best N have children; under --preset es the best and worst N count, at most half of all; "
        f"{by_preset('parents')} of the population, under ga at least 10",
    )
    add(
        "--crossover",
        choices=tuple(CROSSOVERS),
        metavar="{" + ",".join(name for name in CROSSOVERS if name != "mean") + "}",
        help=f"how parents are crossed; {by_preset('crossover', but='es')}",
    )
    add(
        "--pressure",
        type=number(1, 2),
        metavar="X",
        help=f"of the linear ranking; {by_preset('pressure', but='es')}",
    )
    add(
        "--boost",
        type=number(0.001, 1e9),
        metavar="X",
        help=f"factor of the very best one's weight in the ranking; {by_preset('boost', but='es')}",
    )
    add("--tournsize", type=integer(1), metavar="N", help="draw parents by tournaments of N members")
    add("--elites", type=integer(0), metavar="N", help="the best N live on; by default none")
    add("--elite-batches", type=integer(1), metavar="N", help="a new batch is an Nth of their fitness; by default all")
    add(
        "--mates",
        type=integer(2, 256),
        metavar="N",
        help=f"mask, average: the number of parents of a child; {by_preset('mates')}; 2 with another --crossover or "
        "--indpb",
    )
    add(
        "--indpb",
        type=number(0, 1),
        metavar="X",
        help="the probability that a locus, matrix or unit is exchanged, or with biased comes from the less fit parent",
    )
    add(
        "--step",
        type=number(1e-6, 999_999),
        metavar="X",
        help="es: how far to go from a centre towards the mean of the chosen; by default "
        "sqrt(48 * members / (generations * layers)), with --sampling mirrored half that under the root; "
        "--resume keeps it",
    )
    add(
        "--sampling",
        choices=tuple(SPREADS),
        help="es: each child has noise of its own, or two have the same, added and subtracted; "
        f"{by_preset('sampling')}",
    )
    add("--batch-size", type=integer(1), default=64, metavar="N", help="digits that a generation is scored on")
    add("--batch-generations", type=integer(1), metavar="N", help="how many generations they stay; by default 1")
    add("--seed", type=integer(0, MAX_SEED), default=1, metavar="N", help="decides everything random")
    networks = "a CNN of 3.27 million weights, LeNet-5 of 61,706, or 784-64-10; by default mnist_deep"
    add("--model", choices=tuple(MODELS), help=networks)
    add("--keras", metavar="FILE", help="evolve the model of this .keras file, for pixels of 0 to 1")
    start = "start around the weights in this .npz or .keras file, the first member there; by default at random"
    add("--init", dest="init_weights", metavar="FILE", help=start)
    add("--fitness", choices=("error", "cross_entropy"), help=f"what is minimised; {by_preset('fitness')}")
    add(
        "--preset",
        type=preset_name,
        metavar="{" + ",".join(PRESETS) + "}",
        default=PRESETS[0],
        help="the algorithm: a genetic algorithm (mask crossover, adaptive mutation, boosted ranks), an evolution "
        "strategy (children of one centre, no crossover), or the article's settings",
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
    add("--force", action="store_true", help="go on with processes of other versions, and resume before damage")
    add("--regardless", action="store_true", dest="force", help=argparse.SUPPRESS)  # as it was called before
    add("--target", type=number(0, 1), metavar="X", help="stop at a validation error of at most X; by default never")
    add(
        "--patience",
        type=integer(1),
        metavar="N",
        help="stop after N generations without a better one; by default never",
    )
    add("--max-seconds", type=number(0), metavar="X", help="stop once X seconds have passed; by default never")
    add("--threads", type=integer(1, MOST_THREADS), default=1, metavar="N", help="TensorFlow's threads in each process")
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
        return complete(options)
    named = {argument.partition("=")[0] for argument in sys.argv[1:]}
    given = {action.dest: action for action in parser._actions if named & set(action.option_strings)}
    anew = {"resume", "force", "generations", "group_size", "cache", "cache_size", "no_progress"}
    anew |= {"timeout", "keyframes", "keyframe_space", "data", "tensorboard", *MAP_OPTIONS}
    for name, action in given.items():
        if name not in anew:
            raise InputError(f"argument {action.option_strings[0]}: cannot be given with --resume, the run has its own")
    restore_config(options.resume)
    config = as_now(read_config(options.resume, "--resume"))
    if config.get("breeding") == "plain":
        raise InputError("argument --resume: a run that was bred the plain way has no checkpoint")
    config |= kept_files(options.resume, config)
    config.pop("cache", None)  # a folder that the processes make, fill and remove: only who resumes may name one
    data = config.pop("data", None)
    if isinstance(data, dict) and "data" not in given:
        config |= {"data": data["path"]} if data.get("path") else {"dataset": data.get("name")}
    needed = [action.dest for action in parser._actions if action.default is not None and action.nargs != 0]
    missing = {name for name in (*needed, "schedule") if config.get(name) is None} - {*anew, *NOT_STORED, "dataset"}
    if missing:
        raise InputError(f"argument --resume: config.json has no {min(missing)}")
    # The stored settings are read as a command line is, so that they are checked like one.
    unused = {*NOT_STORED, *without_effect(config)}
    stored = [
        f"{action.option_strings[0]}={config[action.dest]}"
        for action in parser._actions
        if action.nargs != 0 and action.dest not in {*given, *unused} and config.get(action.dest) is not None
    ]
    if "generations" not in given and isinstance(config.get("generations"), int):
        stored.append(f"--generations={asked_for(options.resume, config)}")
    try:
        going_on = complete(parser.parse_args([*sys.argv[1:], *stored]))
    except InputError as error:
        if any(f"argument {option}:" in str(error) for action in given.values() for option in action.option_strings):
            raise
        raise InputError(f"argument --resume: config.json: {error}") from error
    check_resumable(options.resume, config, going_on.generations, regardless=options.force)
    return going_on


def complete(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in the options that a preset decides, and check those that depend on each other."""
    complete_model(options)
    weights, layers = size_of(options)
    preset = SETTINGS[options.preset]
    complete_crossover(options, layers)
    complete_selection(options)
    for name, usual in ADDED.items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    if options.scale is None:
        options.scale = preset["scale"] or "none"
    try:
        options.indpb = checked_indpb(options.crossover, options.mates or 2, options.indpb)
    except ArgumentError as error:
        raise InputError(f"argument --{error.argument}: {error.why}") from error
    complete_elites(options)
    complete_schedule(options)
    if options.cache is not None and not Path(options.cache).is_dir():
        raise InputError(f"argument --cache: {options.cache} is not a folder")
    if options.cache_size is not None and slots_in(options.cache_size * 2**20, weights) < FEWEST_SLOTS:
        files = f"in files of {segment_bytes(weights) / 2**20:.0f} MiB"
        raise InputError(
            f"argument --cache-size: {options.cache_size} MiB hold fewer than {FEWEST_SLOTS} networks {files}"
        )
    for name in ("group_size", "cache", "cache_size", "timeout", "keyframes", "keyframe_space"):
        if options.breeding == "plain" and getattr(options, name) is not None:
            raise InputError(f"argument --{name.replace('_', '-')}: needs --breeding recipes")
    if options.breeding == "recipes":
        options.keyframes = KEYFRAME_SECONDS if options.keyframes is None else options.keyframes
        options.keyframe_space = KEYFRAME_BYTES >> 20 if options.keyframe_space is None else options.keyframe_space
    if options.fitness is None:
        options.fitness = preset["fitness"]
    return options


def complete_model(options: argparse.Namespace) -> None:
    """Fill in which model it is, and check the files that are named."""
    if options.keras is None:
        options.model = options.model or "mnist_deep"
    elif options.model is not None:
        raise InputError("argument --model: is not for --keras, which names another")
    for name, option in zip(FILES, ("--keras", "--init"), strict=True):
        path = getattr(options, name)
        if path is not None and not Path(path).is_file():
            raise InputError(f"argument {option}: {path}: no such file")
        if path is not None:
            setattr(options, name, str(Path(path).absolute()))


def complete_crossover(options: argparse.Namespace, layers: int) -> None:
    """Fill in how children come about: of parents that are crossed, or around a centre."""
    preset = SETTINGS[options.preset]
    around_centre = preset["step"] is not None
    if options.crossover is not None and (options.crossover == "mean") != around_centre:
        raise InputError(f"argument --crossover: {options.crossover} {needs(around_centre)}")
    for name in ("mates", "indpb", "elites", "elite_batches", "tournsize"):
        if around_centre and getattr(options, name) is not None:
            raise InputError(f"argument --{name.replace('_', '-')}: {needs(around_centre)}")
    for name in ("sampling", "step"):
        if not around_centre and getattr(options, name) is not None:
            raise InputError(f"argument --{name}: {needs(around_centre)}")
    usual_crossover = options.crossover in (None, preset["crossover"])
    options.crossover = options.crossover or preset["crossover"]
    if not around_centre and options.mates is None:
        options.mates = preset["mates"] if usual_crossover and options.indpb is None else 2
    if around_centre:
        options.sampling = options.sampling or preset["sampling"]
        if options.step is None:
            options.step = usual_step(options.population, max(1, options.generations), layers, options.sampling)


def needs(around_centre: bool) -> str:
    """Return which preset an option is for, as the end of a message."""
    if around_centre:
        return "needs --preset ga or article: es has children of one centre, no crossover and no drawn parents"
    return "needs --preset es: ga and article cross parents and have no centre"


def complete_selection(options: argparse.Namespace) -> None:
    """Fill in how parents are drawn: by rank, by tournaments, or around a centre."""
    preset, by_tournament = SETTINGS[options.preset], options.tournsize is not None
    around_centre = preset["step"] is not None
    if options.parents is None:
        share, fewest = 1.0 if by_tournament else preset["parents"], max(preset["fewest"], options.mates or 2)
        options.parents = number_of_parents(share, options.population, fewest)
    elif options.parents > options.population:
        raise InputError(
            f"argument --parents: must be at most the population of {options.population}, got {options.parents}"
        )
    elif around_centre and options.resume is None and options.parents > max(2, options.population // 2):
        raise InputError(
            f"argument --parents: must be at most half of the population of {options.population} under --preset es, "
            f"got {options.parents}"
        )
    elif by_tournament:
        raise InputError("argument --parents: is not for --tournsize, which draws from all")
    for name in ("pressure", "boost"):
        if getattr(options, name) is None:
            setattr(options, name, preset[name])
        elif by_tournament:
            raise InputError(f"argument --{name}: is not for --tournsize")
        elif around_centre:
            raise InputError(f"argument --{name}: {needs(around_centre)}")


def complete_elites(options: argparse.Namespace) -> None:
    """Check the number of members that live on."""
    if options.elites >= options.population:
        raise InputError(
            f"argument --elites: must be below the population of {options.population}, got {options.elites}"
        )
    if options.elite_batches > 1 and not options.elites:
        raise InputError("argument --elite-batches: needs --elites")


def complete_schedule(options: argparse.Namespace) -> None:
    """Fill in how sigma follows the run."""
    preset = SETTINGS[options.preset]
    if options.sigma is None:
        options.sigma = preset["sigma"]
    if options.schedule is None:
        options.schedule = preset["schedule"]
    if options.schedule == "self-adaptive" and options.crossover == "mean":
        raise InputError(f"argument --schedule: self-adaptive {needs(around_centre=True)}")
    for name, schedules in NEEDED.items():
        if getattr(options, name) is not None and options.schedule not in schedules:
            option, needed = f"--{name.replace('_', '-')}", " or ".join(schedules)
            raise InputError(f"argument {option}: needs --schedule {needed}, got {options.schedule}")
    if options.schedule in NEEDED["final_sigma"]:
        if options.final_sigma is None:
            options.final_sigma = (preset["final_sigma"] or 0.05) * options.sigma
        if options.final_sigma == 0 and options.sigma > 0:
            raise InputError("argument --final-sigma: must be above 0")
        if options.final_sigma > 0 and options.sigma == 0:
            raise InputError("argument --final-sigma: must be 0 where --sigma is")
        if options.final_sigma > options.sigma and options.schedule not in NEEDED["schedule_generations"]:
            raise InputError(f"argument --final-sigma: must be at most --sigma {options.sigma:g}")
    if options.schedule in NEEDED["schedule_generations"] and options.schedule_generations is None:
        options.schedule_generations = max(1, options.generations)
