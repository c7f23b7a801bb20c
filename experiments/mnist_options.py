"""The options of ``experiments/mnist.py``, completed from a preset and checked against each other."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_resume import check_resumable

from deap_nn.algorithms.toolbox.presets import usual_settings, usual_step
from deap_nn.algorithms.toolbox.settings import MODELS, OPTIONS, SETTINGS, WIDEST, Setting, add_settings, as_now
from deap_nn.breeding.store.slots import FEWEST_SLOTS, segment_bytes, slots_in
from deap_nn.core.errors import InputError
from deap_nn.maps.options import MAP_OPTIONS, add_map_options
from deap_nn.operators.by_name import ArgumentError, checked_indpb
from deap_nn.operators.ranking import number_of_parents
from deap_nn.process.cli import Parser, integer
from deap_nn.runs.config import FILES, kept_files, read_config, requested_generations, restore_config

LAYERS = {"mnist_deep": 4, "lenet5": 5, "mlp": 2}
"""The number of layers with weights of each built-in model."""

NOT_STORED = (*(name for name, setting in OPTIONS.items() if not setting.kept), *MAP_OPTIONS)
"""Options that are no settings of a run."""


def size_of(options: argparse.Namespace) -> tuple[int, int]:
    """Return the number of the model's weights, and the number of its matrices without biases and gains."""
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


def make_parser() -> Parser:
    """Return the parser of the command line."""
    launch = "python -m deap_nn.launch experiments/mnist.py"
    parser = Parser(
        "Evolve the weights of a network that reads digits, with a genetic algorithm.",
        launch,
        f"{launch} --model mlp --output runs/first",
        f"{launch} --resume runs/first",
        "python -m scoop experiments/mnist.py --max-seconds 600",
    )
    parser.usage = "%(prog)s [OPTION ...]"
    add_settings(parser)
    hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    parser.add_argument("--regardless", action="store_true", dest="force", **hidden)  # former names
    parser.add_argument("--voters", type=integer(0), dest="voters", **hidden)
    add_map_options(parser)
    return parser


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line, completed by those of the run that ``--resume`` names."""
    parser = make_parser()
    options = parser.parse_args()
    if options.resume is None:
        return complete(options)
    named = {argument.partition("=")[0] for argument in sys.argv[1:]}
    named |= {"--ensemble"} if "--voters" in named else set()
    given = {setting.name: setting.option for setting in OPTIONS.values() if setting.option in named}
    for name, option in given.items():
        if OPTIONS[name].is_fixed:
            raise InputError(f"argument {option}: not with --resume: the run keeps its own")
    restore_config(options.resume)
    config = as_now(read_config(options.resume, "--resume"))
    if config.get("breeding") == "plain":
        raise InputError("argument --resume: a run with --breeding plain has no checkpoint")
    config |= kept_files(options.resume, config)
    # The processes fill and empty this folder, so its name must come from the command line, not from a stranger's file.
    config.pop("cache", None)
    data = config.pop("data", None)
    if isinstance(data, dict) and "data" not in given:
        config |= {"data": data["path"]} if data.get("path") else {"dataset": data.get("name")}
    needed = {name for name, setting in OPTIONS.items() if setting.default is not None and setting.is_fixed}
    missing = {name for name in (needed | {"schedule"}) - {"dataset"} if config.get(name) is None}
    if missing:
        raise InputError(f"argument --resume: config.json has no {min(missing)}")
    # The stored settings are parsed like a command line, so that they are checked like one.
    stored = [
        f"{setting.option}={config[name]}"
        for name, setting in OPTIONS.items()
        if setting.kept and name not in given and config.get(name) is not None
        if setting.has_effect(config) or name in ("crossover", "sampling")  # without effect, these two are refused
    ]
    if "generations" not in given and isinstance(config.get("generations"), int):
        stored.append(f"--generations={requested_generations(options.resume, config)}")
    try:
        resumed = complete(parser.parse_args([*sys.argv[1:], *stored]))
    except InputError as error:
        if any(f"argument {option}:" in str(error) for option in given.values()):
            raise
        raise InputError(f"argument --resume: config.json: {error}") from error
    check_resumable(options.resume, config, resumed.generations, given.values(), force=options.force)
    return resumed


def complete(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in the options that a preset decides, and check those that depend on each other."""
    complete_model(options)
    weights, layers = size_of(options)
    given = options.batch_size, options.centred, options.projected
    preset = usual_settings(options.preset, options.model, *given)
    options.centred, options.projected = preset["centred"], preset["projected"]
    around_centre = preset["step"] is not None
    if options.crossover is not None and (options.crossover == "mean") != around_centre:
        raise InputError(f"argument --crossover: {options.crossover} {needs(around_centre)}")
    if around_centre:
        options.crossover = None
    unrelated = options.init_weights is not None or preset["spread"] is None
    if unrelated and not around_centre and options.spread not in (None, 1):
        raise InputError("argument --spread: needs --preset ga without --init: other founders are drawn otherwise")
    for name, setting in OPTIONS.items():
        if getattr(options, name) is not None:
            check_effect(setting, options)
        elif name == "spread" and unrelated:
            options.spread = None
        elif name == "opposites" and options.tournsize is not None:
            options.opposites = setting.before
        elif setting.is_met(vars(options)) and not setting.derived:
            setattr(options, name, setting.usual if preset.get(name) is None else preset[name])
    options.scale = options.scale or "none"
    if options.centred and options.batch_size < 2:
        raise InputError(f"argument --batch-size: must be at least 2 with --centred yes, got {options.batch_size}")
    if options.projected and not options.centred:
        raise InputError("argument --projected: needs --centred yes, whose layers' inputs it takes")
    if options.projected and options.batch_size >= (widest := WIDEST.get(options.model, math.inf)):
        reason = f"must be below {widest} with --projected yes, the inputs of the widest dense layer"
        raise InputError(f"argument --batch-size: {reason}, got {options.batch_size}")
    complete_parents(options, preset, layers)
    complete_schedule(options, preset)
    if options.cache is not None and not Path(options.cache).is_dir():
        raise InputError(f"argument --cache: {options.cache} is not a folder")
    if options.cache_size is not None and slots_in(options.cache_size * 2**20, weights) < FEWEST_SLOTS:
        files = f"in files of {segment_bytes(weights) / 2**20:.0f} MiB"
        raise InputError(
            f"argument --cache-size: {options.cache_size} MiB hold fewer than {FEWEST_SLOTS} networks {files}"
        )
    return options


def check_effect(setting: Setting, options: argparse.Namespace) -> None:
    """Raise `InputError` if a given setting has no effect with the others."""
    step = SETTINGS[options.preset]["step"]
    if not setting.has_effect({"step": step, "tournsize": options.tournsize}):
        by_preset = step is not None or "rank" not in setting.ways
        refused = needs(step is not None) if by_preset else "not with --tournsize, which draws from all members"
        raise InputError(f"argument {setting.option}: {refused}")
    if setting.needs is not None and not setting.is_met(vars(options)):
        name, values = setting.needs
        got = f"{' or '.join(values)}, got {getattr(options, name)}"
        raise InputError(f"argument {setting.option}: needs --{name} {got}")


def needs(around_centre: bool) -> str:
    """Return the end of a message that names the preset for an option."""
    if around_centre:
        return "needs --preset ga or article: es has children of one centre, no crossover and no drawn parents"
    return "needs --preset es: ga and article cross parents and have no centre"


def complete_model(options: argparse.Namespace) -> None:
    """Fill in the model, and check the files that the options name."""
    if options.keras is None:
        options.model = options.model or "mnist_deep"
    elif options.model is not None:
        raise InputError("argument --model: not with --keras, which names the model")
    for name, option in zip(FILES, ("--keras", "--init"), strict=True):
        path = getattr(options, name)
        if path is not None and not Path(path).is_file():
            raise InputError(f"argument {option}: {path}: no such file")
        if path is not None:
            setattr(options, name, str(Path(path).absolute()))


def complete_parents(options: argparse.Namespace, preset: Mapping[str, Any], layers: int) -> None:
    """Fill in the number of parents, and the options of the crossover or of the centre."""
    most = options.population
    around_centre = preset["step"] is not None
    if around_centre and options.step is None:
        options.step = usual_step(
            most, max(1, options.generations), layers, options.sampling, projected=options.projected
        )
    if not around_centre and options.mates is None:
        options.mates = preset["mates"] if options.crossover == preset["crossover"] and options.indpb is None else 2
    try:
        options.indpb = checked_indpb(options.crossover, options.mates or 2, options.indpb)
    except ArgumentError as error:
        raise InputError(f"argument --{error.argument}: {error.why}") from error
    if options.parents is None:
        share = 1.0 if options.tournsize is not None else preset["parents"]
        options.parents = number_of_parents(share, most, max(preset["fewest"], options.mates or 2))
    elif options.parents > most:
        raise InputError(f"argument --parents: must be at most the population of {most}, got {options.parents}")
    elif around_centre and options.resume is None and options.parents > max(2, most // 2):
        half = f"at most half of the population of {most} under --preset es"
        raise InputError(f"argument --parents: must be {half}, got {options.parents}")


def complete_schedule(options: argparse.Namespace, preset: Mapping[str, Any]) -> None:
    """Fill in the options of sigma's schedule."""
    if options.schedule == "self-adaptive" and options.crossover == "mean":
        raise InputError(f"argument --schedule: self-adaptive {needs(around_centre=True)}")
    annealed = OPTIONS["schedule_generations"].is_met(vars(options))
    if OPTIONS["final_sigma"].is_met(vars(options)):
        if options.final_sigma is None:
            options.final_sigma = (preset["final_sigma"] or 0.05) * options.sigma
        if options.final_sigma == 0 and options.sigma > 0:
            raise InputError("argument --final-sigma: must be above 0")
        if options.final_sigma > 0 and options.sigma == 0:
            raise InputError("argument --final-sigma: must be 0 if --sigma is 0")
        if options.final_sigma > options.sigma and not annealed:
            raise InputError(f"argument --final-sigma: must be at most --sigma {options.sigma:g}")
    if annealed and options.schedule_generations is None:
        options.schedule_generations = max(1, options.generations)
