"""The table of settings: the source of the command line, the presets, ``config.json``, resume and replay."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any, Literal

from deap_nn.algorithms.resuming import KEYFRAME_BYTES, KEYFRAME_SECONDS
from deap_nn.algorithms.toolbox.setting import (
    CENTRE,
    PAIRS,
    RANK,
    RECIPES,
    Setting,
    one_of,
    real,
    seconds_or_off,
    whole,
)
from deap_nn.callbacks.candidates import ENSEMBLE_SIZE
from deap_nn.core.arguments import check_choice, did_you_mean
from deap_nn.core.environment import MOST_THREADS
from deap_nn.core.seeding import MAX_SEED
from deap_nn.data.registry import NAMES as DATA_SETS
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.operators.by_name import CROSSOVERS
from deap_nn.process.cli import Parser, integer

PresetName = Literal["ga", "es", "article"]

NAMES: tuple[PresetName, ...] = ("ga", "es", "article")
"""The algorithms that help texts name, the default first."""

ALIASES = {"default": "es"}
"""Former names of algorithms."""

MODELS = {"mnist_deep": 3_274_634, "lenet5": 61_706, "mlp": 50_890}
"""The built-in models, and their numbers of weights."""

WIDEST = {"mnist_deep": 3136, "lenet5": 400, "mlp": 784}
"""The largest number of inputs of a dense layer of each built-in model."""

ANNEALED = ("schedule", ("linear", "geometric"))
BOUNDED = ("schedule", (*ANNEALED[1], "one-fifth", "self-adaptive"))
"""A setting, and the values that other settings need: with any other value those are refused."""


def preset_name(text: str) -> str:
    """Return the present name of an algorithm: an argparse type that also accepts former names."""
    try:
        return canonical(text)
    except ValueError:
        allowed = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"
        raise argparse.ArgumentTypeError(f"must be {allowed}, got {text!r}{did_you_mean(text, NAMES)}") from None


def yes_or_no(text: str) -> bool:
    """Return whether a text is "yes" or "no", or as ``config.json`` has it: an argparse type."""
    if (found := {"yes": True, "no": False, "true": True, "false": False}.get(text.lower())) is None:
        raise argparse.ArgumentTypeError(f"must be yes or no, got {text!r}")
    return found


SIGMA, FLAG = real(0, LARGEST_WEIGHT), {"action": "store_true", "default": False}
YES_OR_NO = {"metavar": "{yes,no}", "type": yes_or_no}
SPACE = {"metavar": "MIB", "type": integer(0)}
FILE, FOLDER, PATH = {"metavar": "FILE"}, {"metavar": "DIR"}, {"metavar": "PATH"}

TABLE = (
    Setting("population", "run", "members of the population", whole(2), default=200),
    Setting("generations", "run", "generations after the initial population", whole(0), default=150, mutable=True),
    Setting(
        "preset",
        "algorithm",
        "genetic algorithm, evolution strategy, or article",
        {"metavar": f"{{{','.join(NAMES)}}}", "type": preset_name},
        default=NAMES[0],
    ),
    Setting(
        "parents",
        "algorithm",
        "parents, with the opposites",
        whole(2),
        (0.5, 0.5, 1.0),
        derived=True,
        unset="{presets} of all",
        ways=RANK + CENTRE,
    ),
    # The least number of parents by a share: fewer than 10 lose the founders' variety too soon.
    Setting("fewest", presets=(10, 2, 2)),
    Setting(
        "crossover",
        "algorithm",
        "operator that combines the parents",
        one_of(*CROSSOVERS),
        ("mask", "mean", "mask"),
        ways=PAIRS,
    ),
    Setting("pressure", "algorithm", "pressure of linear ranking, 1 to 2", real(1, 2), (1.5, 1.5, 2.0), ways=RANK),
    Setting(
        "boost",
        "algorithm",
        "draw the best X times as often",
        real(0.001, 1e9),
        (2.0, 1.0, 100.0),
        ways=RANK,
    ),
    Setting(
        "opposites",
        "algorithm",
        "share of opposites among parents",
        real(0, 0.5),
        (0.5, None, 0.0),
        before=0.0,
        ways=RANK,
    ),
    Setting(
        "tournsize",
        "algorithm",
        "select parents by tournaments of N",
        whole(1),
        unset="selection by rank",
        ways=PAIRS,
    ),
    Setting(
        "mates",
        "algorithm",
        "parents of a child by mask or average",
        whole(2, 256),
        (4, None, 2),
        derived=True,
        unset="{presets}",
        before=2,
        ways=PAIRS,
    ),
    Setting(
        "indpb",
        "algorithm",
        "crossover probability of a locus",
        real(0, 1),
        unset="0.5, biased 0.25",
        ways=PAIRS,
    ),
    Setting(
        "step",
        "algorithm",
        "es: step of the centre",
        real(1e-6, 999_999),
        (None, "usual", None),
        derived=True,
        unset="by members and generations",
        ways=CENTRE,
    ),
    Setting(
        "sampling",
        "algorithm",
        "es: each child's own noise, or +/- pairs",
        one_of("independent", "mirrored"),
        (None, "independent", None),
        before="mirrored",
        ways=CENTRE,
    ),
    Setting("projected", "algorithm", "steps along inputs of layers", YES_OR_NO, (True, True, False), before=False),
    Setting("batch_size", "data", "digits in the mini-batch of a generation", whole(1), default=64),
    Setting("centred", "algorithm", "centre dense layers", YES_OR_NO, (True, True, False), before=False),
    Setting("stratified", "data", "all classes in each batch", YES_OR_NO, (True, True, False), before=False),
    Setting("batch_generations", "data", "generations that a mini-batch serves", whole(1), usual=1),
    Setting("seed", "run", "seed of all random numbers", whole(0, MAX_SEED), default=1),
    Setting("model", "run", "CNN, LeNet-5 or one hidden layer", one_of(*MODELS), unset="mnist_deep"),
    Setting("keras", "run", "network in a .keras file, pixels of 0 to 1", FILE, unset="--model"),
    Setting(
        "init_weights",
        "run",
        "file of weights to begin around",
        FILE,
        unset="random weights",
        option="--init",
    ),
    Setting("init", presets=("scaled", "scaled", "normal")),
    Setting(
        "spread",
        "algorithm",
        "distance of founders, 1: unrelated",
        real(0, 1),
        (0.5, None, None),
        before=1.0,
        ways=PAIRS,
    ),
    Setting(
        "fitness",
        "algorithm",
        "minimised: rate or nats",
        one_of("error", "cross_entropy"),
        ("cross_entropy", "cross_entropy", "error"),
    ),
    Setting("sigma", "algorithm", "first sigma of mutation", SIGMA, (0.128, 0.4, 0.1)),
    Setting(
        "schedule",
        "algorithm",
        "rule by which sigma changes",
        one_of("error", "linear", "geometric", "constant", "one-fifth", "self-adaptive"),
        ("error", "geometric", "error"),
    ),
    Setting(
        "final_sigma",
        "algorithm",
        "sigma at the end, or the smallest",
        SIGMA,
        (None, 0.25, None),
        derived=True,
        unset="--sigma / 4 or 20",
        needs=BOUNDED,
    ),
    Setting(
        "schedule_generations",
        "algorithm",
        "generations until --final-sigma",
        whole(1),
        unset="--generations",
        needs=ANNEALED,
    ),
    Setting(
        "scale",
        "algorithm",
        "unit of sigma",
        one_of("none", "fan_in", "widest", "fixed", "own"),
        ("fixed", "widest", None),
    ),
    Setting("mutation_indpb", "algorithm", "probability that a weight is mutated", real(0, 1), usual=1.0),
    Setting(
        "mutated_matrices", "algorithm", "mutate all matrices of a child, or one", one_of("all", "one"), usual="all"
    ),
    Setting("dataset", "data", "digits; auto: mnist if available, else mnist5k", one_of(*DATA_SETS), default="auto"),
    Setting("data", "data", "IDX folder or .npz, named by --dataset", PATH, unset="--dataset", mutable=True),
    Setting("validation_size", "data", "validation digits that score each best member", whole(1), default=1000),
    Setting("training_size", "data", "training digits that score the candidates too", whole(0), usual=0),
    Setting(
        "voters", "output", "parents in the ensemble at the end", whole(0), usual=ENSEMBLE_SIZE, option="--ensemble"
    ),
    Setting("output", "output", "new folder for the run", FOLDER, unset="a new one under runs/", kept=False),
    Setting("resume", "run", "continue the run in this folder", FOLDER, unset="a new run", kept=False),
    Setting("force", "run", "accept other versions, other data, damage", FLAG, unset="an error", kept=False),
    Setting("target", "run", "stop at this validation error, 0 to 1", real(0, 1), unset="never", mutable=True),
    Setting(
        "patience",
        "run",
        "stop N generations after the lowest val_error",
        whole(1),
        unset="never",
        mutable=True,
    ),
    Setting("max_seconds", "run", "stop after S seconds", real(0, unit="S"), unset="never", mutable=True),
    Setting("threads", "speed", "TensorFlow threads in each process", whole(1, MOST_THREADS), default=1),
    Setting("precision", "speed", "arithmetic of the fitness", one_of("float32", "bfloat16"), default="float32"),
    Setting("device", "speed", "processor; gpu: results may differ between runs", one_of("cpu", "gpu"), default="cpu"),
    Setting("breeding", "speed", "send workers recipes or weights", one_of("recipes", "plain"), default="recipes"),
    Setting("group_size", "speed", "members in a task", whole(1), unset="by the size of the model", needs=RECIPES),
    Setting("cache", "speed", "folder for the parents' weights", FOLDER, unset="shared memory", needs=RECIPES),
    Setting("cache_size", "speed", "size of the cache", SPACE, unset="three quarters of the free space", needs=RECIPES),
    Setting(
        "keyframes",
        "speed",
        "save weights that take over S seconds to breed",
        {"metavar": "{S,off}", "type": seconds_or_off},
        usual=KEYFRAME_SECONDS,
        needs=RECIPES,
    ),
    Setting("keyframe_space", "speed", "largest keyframe", SPACE, usual=KEYFRAME_BYTES >> 20, needs=RECIPES),
    Setting("tensorboard", "output", "folder for TensorBoard's events", FOLDER, unset="none", kept=False),
    Setting("no_progress", "output", "print nothing", FLAG, unset="progress and result", kept=False),
)
"""All settings; ``--help`` shows those of a group in this order."""

OPTIONS = {setting.name: setting for setting in TABLE if setting.help}
"""The settings with an option, by name."""

SETTINGS: dict[str, dict[str, Any]] = {
    name: {setting.name: setting.presets[place] for setting in TABLE if setting.presets is not None}
    for place, name in enumerate(NAMES)
}
"""The values of each algorithm. ``parents`` is a share of the population, ``fewest`` the least number of parents;
``sigma`` is the first mutation step size, ``schedule`` its adaptation and ``final_sigma`` a share of it; a "usual"
``step`` is that of `usual_step`."""

# A former preset, with two parents from the best tenth and no boost: runs, studies and benchmarks still name it.
SETTINGS["mask"] = SETTINGS["ga"] | {"parents": 0.1, "fewest": 2, "boost": 1.0, "mates": 2}
SETTINGS["mask"] |= {"centred": False, "stratified": False, "opposites": 0.0, "spread": 1.0}
SETTINGS["mask"] |= {"projected": False, "sigma": 0.1, "scale": "fan_in"}

FORMER_STEP = 6.0
"""The step of ``crossover="mean"`` if none is given."""


def canonical(name: str) -> str:
    """Return the present name of an algorithm.

    Raises
    ------
    ValueError
        If no algorithm has this name.
    """
    known = ALIASES.get(name, name) if isinstance(name, str) else name
    if known not in SETTINGS:
        check_choice("preset", name, NAMES)
    return known


def add_settings(parser: Parser, names: Collection[str] = tuple(OPTIONS)) -> None:
    """Add the options of some settings to a parser."""
    for name in names:
        setting = OPTIONS[name]
        with_effect = [preset for preset in NAMES if setting.presets and setting.has_effect(SETTINGS[preset])]
        setting.add_to(parser, {preset: SETTINGS[preset][name] for preset in with_effect})


def as_now(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run by their present names; settings that an older run lacks get its implicit values."""
    older = {s.name: s.usual for s in TABLE if s.usual is not None}
    older |= {s.name: s.before for s in TABLE if s.before is not None and s.has_effect(config)}
    now = ALIASES.get(str(config.get("preset")))
    return older | dict(config) | ({} if now is None else {"preset": now})
