"""The options of ``experiments/mnist.py``: those of a run, and those of its algorithm."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mnist_resume import check_resumable

from deap_nn.algorithms.algorithm import ALGORITHMS, ES, GA, MODELS
from deap_nn.algorithms.make_toolbox import algorithm_of
from deap_nn.core.arguments import add_options, check_fields, flag, one_of, options_of, real, text, whole
from deap_nn.core.environment import MOST_THREADS
from deap_nn.core.errors import InputError
from deap_nn.core.seeding import MAX_SEED
from deap_nn.data.registry import NAMES as DATA_SETS
from deap_nn.maps import MAP_OPTIONS, add_map_options
from deap_nn.process.cli import Parser
from deap_nn.runs.files import FILES, kept_files, read_config, requested_generations

MAY_CHANGE = (
    "resume",
    "force",
    "generations",
    "target",
    "patience",
    "max_seconds",
    "data",
    "no_progress",
    *MAP_OPTIONS,
)
"""The options that ``--resume`` takes."""

NOT_STORED = ("output", "resume", "force", "no_progress")
"""Options that are no settings of a run."""


@dataclass(frozen=True)
class Settings:
    """The settings of a run, without those of its algorithm; see ``--help``."""

    population: Annotated[int, whole("members of the population", 2, group="run")] = 100
    generations: Annotated[int, whole("generations after the initial population", 0, group="run")] = 300
    preset: Annotated[str, one_of("genetic algorithm, evolution strategy, or article", *ALGORITHMS)] = "ga"
    batch_size: Annotated[int, whole("digits in the mini-batch of a generation", 1, group="data")] = 64
    seed: Annotated[int, whole("seed of all random numbers", 0, MAX_SEED, group="run")] = 1
    model: Annotated[str | None, one_of("CNN, LeNet-5 or one hidden layer [mnist_deep]", *MODELS, group="run")] = None
    keras: Annotated[str | None, text("network in a .keras file, pixels of 0 to 1 [--model]", "FILE", group="run")] = (
        None
    )
    init_weights: Annotated[
        str | None,
        text("scaled, normal, or a file of weights [by preset]", "FILE", group="run", option="--init"),
    ] = None
    dataset: Annotated[str, one_of("digits; auto: mnist if available, else mnist5k", *DATA_SETS, group="data")] = "auto"
    data: Annotated[str | None, text("IDX folder or .npz, named by --dataset [--dataset]", "PATH", group="data")] = None
    output: Annotated[str | None, text("new folder for the run [a new one under runs/]", "DIR", group="output")] = None
    resume: Annotated[str | None, text("continue the run in this folder [a new run]", "DIR", group="run")] = None
    force: Annotated[bool, flag("accept other versions, other data [an error]", group="run")] = False
    target: Annotated[float | None, real("stop at this validation error, 0 to 1 [never]", 0, 1, group="run")] = None
    patience: Annotated[int | None, whole("stop N generations after the lowest val_error [never]", 1, group="run")] = (
        None
    )
    max_seconds: Annotated[float | None, real("stop after S seconds [never]", 0, metavar="S", group="run")] = None
    threads: Annotated[int, whole("TensorFlow threads in each process", 1, MOST_THREADS, group="speed")] = 1
    precision: Annotated[
        Literal["float32", "bfloat16"], one_of("arithmetic of the fitness", "float32", "bfloat16", group="speed")
    ] = "float32"
    device: Annotated[
        Literal["cpu", "gpu"], one_of("processor; gpu: results may differ between runs", "cpu", "gpu", group="speed")
    ] = "cpu"
    no_progress: Annotated[bool, flag("print nothing [progress and result]", group="output")] = False

    def __post_init__(self) -> None:
        check_fields(self)


def make_parser(preset: str) -> Parser:
    """Return the parser of the command line, with the options of an algorithm by its name."""
    launch = "python -m deap_nn.launch experiments/mnist.py"
    parser = Parser(
        f"Evolve the weights of a network that reads digits (--preset {preset}: --help --preset NAME shows another's).",
        launch,
        f"{launch} --model mlp --output runs/first",
        f"{launch} --resume runs/first",
        "python -m scoop experiments/mnist.py --max-seconds 600",
    )
    parser.usage = "%(prog)s [OPTION ...]"
    add_options(parser, Settings, dataclasses.asdict(Settings(preset=preset)))
    kind = ALGORITHMS[preset]
    add_options(parser, kind, dataclasses.asdict(kind().resolved("mnist_deep", Settings.batch_size)))
    add_map_options(parser)
    return parser


def parse_arguments(arguments: Sequence[str] | None = None) -> Namespace:
    """Return the options of a command line: the settings, the map options, and ``algorithm``, resolved.

    With ``--resume`` they are those of the run's ``config.json``, with those that may change as given.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    given = vars(make_parser(_preset_in(arguments)).parse_args(arguments))
    if given.get("resume") is not None:
        return resumed(given)
    kind = ALGORITHMS[given.get("preset", Settings.preset)]
    settings = Settings(**{name: given[name] for name in given.keys() & options_of(Settings).keys()})
    words = {name: given[name] for name in given.keys() & options_of(kind).keys()}
    if settings.init_weights in ("scaled", "normal"):
        words["init"] = settings.init_weights
        settings = dataclasses.replace(settings, init_weights=None)
    elif settings.init_weights is not None and kind is not ES and words.setdefault("spread", 1.0) != 1:
        raise InputError("argument --spread: is for founders that are drawn, not for those of --init")
    settings = with_files(settings)
    try:
        algorithm = kind(**words).resolved(settings.model if settings.keras is None else None, settings.batch_size)
    except ValueError as error:
        name, _, why = str(error).partition(" ")
        raise InputError(f"argument --{name.replace('_', '-')}: {why}") from error
    check_sizes(settings, algorithm)
    return namespace(settings, algorithm, given)


def _preset_in(arguments: Sequence[str]) -> str:
    """Return the preset of a command line, or of the run that it resumes; the default if it names none."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    named = dict(itertools.pairwise(words))
    name = named.get("--preset")
    if "--resume" in named and name is None:
        name = read_config(named["--resume"], "--resume").get("preset")
    return name if name in ALGORITHMS else Settings.preset


def namespace(settings: Settings, algorithm: GA | ES, given: Mapping[str, Any]) -> Namespace:
    """Return all options as one object."""
    of_map = {name: given.get(name) for name in MAP_OPTIONS}
    return Namespace(**dataclasses.asdict(settings), **of_map, algorithm=algorithm)


def with_files(settings: Settings) -> Settings:
    """Return the settings with the model and with absolute paths of their files, which must exist."""
    if settings.keras is not None and settings.model is not None:
        raise InputError("argument --model: not with --keras, which names the model")
    found: dict[str, Any] = {"model": None if settings.keras is not None else settings.model or "mnist_deep"}
    for name, option in zip(FILES, ("--keras", "--init"), strict=True):
        path = getattr(settings, name)
        if path is not None and not Path(path).is_file():
            raise InputError(f"argument {option}: {path}: no such file")
        if path is not None:
            found[name] = str(Path(path).absolute())
    return dataclasses.replace(settings, **found)


def check_sizes(settings: Settings, algorithm: GA | ES) -> None:
    """Raise `InputError` if a number is too large or too small for another."""
    most = settings.population
    if isinstance(algorithm.parents, int) and algorithm.parents > most:
        raise InputError(f"argument --parents: must be at most the population of {most}, got {algorithm.parents}")
    if isinstance(algorithm, ES) and isinstance(algorithm.parents, int) and algorithm.parents > max(2, most // 2):
        half = f"at most half of the population of {most} under --preset es"
        raise InputError(f"argument --parents: must be {half}, got {algorithm.parents}")
    if algorithm.centred and settings.batch_size < 2:
        raise InputError(f"argument --batch-size: must be at least 2 with --centred yes, got {settings.batch_size}")


def resumed(given: Mapping[str, Any]) -> Namespace:
    """Return the options of the run that ``--resume`` names, with the given ones that may change."""
    folder = given["resume"]
    for name in given.keys() - set(MAY_CHANGE):
        option = {**options_of(Settings), **options_of(GA), **options_of(ES)}[name].option
        raise InputError(f"argument {option}: not with --resume: the run keeps its own")
    config = read_config(folder, "--resume")
    config |= kept_files(folder, config)
    try:
        if isinstance(config["generations"], int):
            config["generations"] = requested_generations(folder, config)
        stored = {name: config[name] for name in options_of(Settings).keys() - {*NOT_STORED, "data"}}
        path = config["data"].get("path")
        stored |= {"data": path} if path else {"dataset": config["data"].get("name")}
        settings = with_files(Settings(**(stored | {name: given[name] for name in given if name not in MAP_OPTIONS})))
        algorithm = algorithm_of(config)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        said = f"has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"argument --resume: config.json: {said}") from error
    options = [f"--{name.replace('_', '-')}" for name in given]
    check_resumable(folder, read_config(folder, "--resume"), settings.generations, options)
    return namespace(settings, algorithm, given)


def config_of(options: Namespace) -> dict[str, Any]:
    """Return the settings of a run as ``config.json`` has them."""
    stored = {name: getattr(options, name) for name in options_of(Settings) if name not in NOT_STORED}
    return stored | dataclasses.asdict(options.algorithm)
