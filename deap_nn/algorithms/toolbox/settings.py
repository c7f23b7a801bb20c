"""The table of settings, of which the command line, the presets, ``config.json``, resume and replay are made."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deap_nn.algorithms.resuming import KEYFRAME_BYTES, KEYFRAME_SECONDS
from deap_nn.callbacks.readouts import VOTERS
from deap_nn.core.environment import MOST_THREADS
from deap_nn.core.seeding import MAX_SEED
from deap_nn.data.registry import NAMES as DATA_SETS
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.operators.by_name import CROSSOVERS
from deap_nn.process.cli import integer, number

PresetName = Literal["ga", "es", "article"]

NAMES: tuple[PresetName, ...] = ("ga", "es", "article")
"""The algorithms that help texts name, the default first."""

ALIASES = {"default": "es"}
"""Former names of algorithms."""

MODELS = {"mnist_deep": 3_274_634, "lenet5": 61_706, "mlp": 50_890}
"""The built-in models, and how many weights they have."""

RANK, CENTRE, PAIRS = ("rank",), ("centre",), ("rank", "tournament")
"""How parents are chosen: the ways with which a setting has an effect."""

RECIPES = ("breeding", ("recipes",))
ANNEALED = ("schedule", ("linear", "geometric"))
BOUNDED = ("schedule", (*ANNEALED[1], "one-fifth", "self-adaptive"))
"""A setting and its values: with others, what needs them is refused."""


@dataclass(frozen=True)
class Setting:
    """A setting of a run; without a help text it has no option."""

    name: str  # as config.json and make_toolbox call it
    help: str = ""  # the values by preset follow, or take the place of {presets}
    kind: Mapping[str, Any] = field(default_factory=dict)  # what argparse is told about its value
    presets: tuple[Any, Any, Any] | None = None  # the values under ga, es and article
    derived: bool = False  # those are shares or rules, of which the command makes the value
    default: object = None  # of the option; None where presets, `usual` or other settings decide
    usual: object = None  # without an option and a preset; older runs had it, and not in config.json
    before: object = None  # of older runs, where a preset decides now
    ways: tuple[str, ...] = (*PAIRS, *CENTRE)  # to choose parents, with which it has an effect
    needs: tuple[str, tuple[str, ...]] | None = None  # another setting, and the values with which it has an effect
    option: str = ""  # by default its name
    kept: bool = True  # in config.json
    anew: bool = False  # who resumes may give another; also what is not kept, or for recipes

    def __post_init__(self) -> None:
        object.__setattr__(self, "option", self.option or f"--{self.name.replace('_', '-')}")

    def has_effect(self, settings: Mapping[str, Any]) -> bool:
        """Return whether it decides anything, given how the parents are chosen."""
        return way_of(settings) in self.ways

    def is_met(self, settings: Mapping[str, Any]) -> bool:
        """Return whether the setting that it needs has one of the values."""
        return self.needs is None or settings[self.needs[0]] in self.needs[1]

    @property
    def is_fixed(self) -> bool:
        """Whether a run that goes on keeps its own."""
        return self.name == "output" or (self.kept and not self.anew and self.needs != RECIPES)

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add its option to a parser."""
        values = {name: SETTINGS[name][self.name] for name in NAMES if self.presets and self.has_effect(SETTINGS[name])}
        shown = ", ".join(f"{name}: {'none' if value is None else value}" for name, value in values.items())
        said = self.help.format(presets=shown) if self.derived or not shown else f"{self.help}; {shown}"
        parser.add_argument(self.option, **{"dest": self.name, "default": self.default, "help": said, **self.kind})


def way_of(settings: Mapping[str, Any]) -> str:
    """Return how parents are chosen: by rank, by tournaments, or around a centre."""
    if settings.get("step") is not None:
        return "centre"
    return "rank" if settings.get("tournsize") is None else "tournament"


def preset_name(text: str) -> str:
    """Return the name of an algorithm, as an argparse type does; former names are taken too."""
    try:
        return canonical(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {', '.join(NAMES[:-1])} or {NAMES[-1]}, got {text!r}") from None


def seconds_or_off(text: str) -> float | str:
    """Return a number of seconds of at least 0, or "off"."""
    return text if text == "off" else number(0)(text)


def whole(*limits: int) -> dict[str, Any]:
    """Return what argparse is told about an integer between limits."""
    return {"metavar": "N", "type": integer(*limits)}


def real(*limits: float) -> dict[str, Any]:
    """Return what argparse is told about a number between limits."""
    return {"metavar": "X", "type": number(*limits)}


def named(*names: str) -> dict[str, Any]:
    """Return what argparse is told about one of some names; what is deprecated is not shown."""
    return {"choices": names} | ({"metavar": f"{{{','.join(names[:-1])}}}"} if names[-1] == "mean" else {})


STRENGTH, FLAG = real(0, LARGEST_WEIGHT), {"action": "store_true", "default": False}
SPACE = {"metavar": "MIB", "type": integer(0)}
FILE, FOLDER, PATH = {"metavar": "FILE"}, {"metavar": "DIR"}, {"metavar": "PATH"}

TABLE = (
    Setting("population", "members of the population", whole(2), default=200),
    Setting("generations", "generations after the initial population", whole(0), default=150, anew=True),
    Setting(
        "parents",
        "only the best N have children; under --preset es the best and worst N count, at most half of all; {presets} "
        "of the population, under ga at least 10",
        whole(2),
        (0.25, 0.5, 1.0),
        derived=True,
        ways=RANK + CENTRE,
    ),
    Setting("fewest", presets=(10, 2, 2)),  # parents by a share: fewer than 10 lose the founders' variety too soon
    Setting("crossover", "how parents are crossed", named(*CROSSOVERS), ("mask", "mean", "mask"), ways=PAIRS),
    Setting("pressure", "of the linear ranking", real(1, 2), (1.5, 1.5, 2.0), ways=RANK),
    Setting(
        "boost", "factor of the very best one's weight in the ranking", real(0.001, 1e9), (2.0, 1.0, 100.0), ways=RANK
    ),
    Setting("tournsize", "draw parents by tournaments of N members", whole(1), ways=PAIRS),
    Setting("elites", "the best N live on; by default none", whole(0), usual=0, ways=PAIRS),
    Setting("elite_batches", "a new batch is an Nth of their fitness; by default all", whole(1), usual=1, ways=PAIRS),
    Setting(
        "mates",
        "mask, average: the number of parents of a child; {presets}; 2 with another --crossover or --indpb",
        whole(2, 256),
        (4, None, 2),
        derived=True,
        before=2,
        ways=PAIRS,
    ),
    Setting(
        "indpb",
        "the probability that a locus, matrix or unit is exchanged, or with biased comes from the less fit parent",
        real(0, 1),
        ways=PAIRS,
    ),
    Setting(
        "step",
        "es: how far to go from a centre towards the mean of the chosen; by default "
        "sqrt(48 * members / (generations * layers)), with --sampling mirrored half that under the root; "
        "--resume keeps it",
        real(1e-6, 999_999),
        (None, "usual", None),
        derived=True,
        ways=CENTRE,
    ),
    Setting(
        "sampling",
        "es: each child has noise of its own, or two have the same, added and subtracted",
        named("independent", "mirrored"),
        (None, "independent", None),
        before="mirrored",
        ways=CENTRE,
    ),
    Setting("batch_size", "digits that a generation is scored on", whole(1), default=64),
    Setting("batch_generations", "how many generations they stay; by default 1", whole(1), usual=1),
    Setting("seed", "decides everything random", whole(0, MAX_SEED), default=1),
    Setting(
        "model", "a CNN of 3.27 million weights, LeNet-5 of 61,706, or 784-64-10; by default mnist_deep", named(*MODELS)
    ),
    Setting("keras", "evolve the model of this .keras file, for pixels of 0 to 1", FILE),
    Setting(
        "init_weights",
        "start around the weights in this .npz, .keras or .weights.h5 file, the first member; by default at random",
        FILE,
        option="--init",
    ),
    Setting("init", presets=("scaled", "scaled", "normal")),
    Setting(
        "fitness", "what is minimised", named("error", "cross_entropy"), ("cross_entropy", "cross_entropy", "error")
    ),
    Setting(
        "preset",
        "the algorithm: a genetic algorithm (mask crossover, adaptive mutation, boosted ranks), an evolution strategy "
        "(children of one centre, no crossover), or the article's settings",
        {"metavar": f"{{{','.join(NAMES)}}}", "type": preset_name},
        default=NAMES[0],
    ),
    Setting("sigma", "strength of mutation at first", STRENGTH, (0.1, 0.5, 0.1)),
    Setting(
        "schedule",
        "what it goes by: the best one's error, the generations, nothing, success, or selection",
        named("error", "linear", "geometric", "constant", "one-fifth", "self-adaptive"),
        ("error", "geometric", "error"),
    ),
    Setting(
        "final_sigma",
        "the last one, or the least; by default a twentieth",
        STRENGTH,
        (None, 0.05, None),
        derived=True,
        needs=BOUNDED,
    ),
    Setting("schedule_generations", "when that is reached; by default --generations", whole(1), needs=ANNEALED),
    Setting("scale", "of mutation, by matrix", named("none", "fan_in", "own"), ("fan_in", "fan_in", None)),
    Setting("mutation_indpb", "a weight is mutated so probably; by default 1", real(0, 1), usual=1.0),
    Setting("mutated_matrices", "of each child; by default all", named("all", "one"), usual="all"),
    Setting("dataset", "auto: full MNIST if it is to be had, else mnist5k", named(*DATA_SETS), default="auto"),
    Setting("data", "read the data from a folder of IDX files or an .npz file; by default --dataset", PATH, anew=True),
    Setting("validation_size", "validation digits a generation", whole(1), default=1000),
    Setting(
        "training_size",
        "first training digits that the candidates for the result are scored on too; by default none",
        whole(0),
        usual=0,
    ),
    Setting("voters", f"so many parents vote at the end; by default {VOTERS}", whole(0), usual=VOTERS),
    Setting("output", "a new folder for the run; by default a fresh one under runs/", FOLDER, kept=False),
    Setting("resume", "go on with the run in this folder, with its settings; see --generations", FOLDER, kept=False),
    Setting("force", "go on with processes of other versions, and resume before damage", FLAG, kept=False),
    Setting("target", "stop at a validation error of at most X; by default never", real(0, 1)),
    Setting("patience", "stop after N generations without a better one; by default never", whole(1)),
    Setting("max_seconds", "stop once X seconds have passed; by default never", real(0)),
    Setting("threads", "TensorFlow's threads in each process", whole(1, MOST_THREADS), default=1),
    Setting("precision", "what the fitness is computed in", named("float32", "bfloat16"), default="float32"),
    Setting("device", "results are promised to repeat on cpu alone", named("cpu", "gpu"), default="cpu"),
    Setting("breeding", "send recipes to the workers, or weights", named("recipes", "plain"), default="recipes"),
    Setting("group_size", "members in a task; by default as many as suit the model", whole(1), needs=RECIPES),
    Setting("cache", "where this host's processes share the parents; by default shared memory", FOLDER, needs=RECIPES),
    Setting("cache_size", "how much that may take; by default three quarters of it", SPACE, needs=RECIPES),
    Setting("timeout", "end the run if an evaluation takes X seconds; by default never", real(0.001), needs=RECIPES),
    Setting(
        "keyframes",
        "keep the parents' weights when breeding them again would take X seconds, for a quick --resume, or off; by "
        f"default {KEYFRAME_SECONDS:g}",
        {"metavar": "X", "type": seconds_or_off},
        usual=KEYFRAME_SECONDS,
        needs=RECIPES,
    ),
    Setting(
        "keyframe_space",
        f"no keyframe that takes more is kept; by default {KEYFRAME_BYTES >> 20}",
        SPACE,
        usual=KEYFRAME_BYTES >> 20,
        needs=RECIPES,
    ),
    Setting("tensorboard", "write events for TensorBoard there; by default none", FOLDER, kept=False),
    Setting("no_progress", "show no progress; by default it is shown", FLAG, kept=False),
)
"""All settings, in the order of ``--help``."""

OPTIONS = {setting.name: setting for setting in TABLE if setting.help}
"""Those that have an option, by name."""

SETTINGS: dict[str, dict[str, Any]] = {
    name: {setting.name: setting.presets[place] for setting in TABLE if setting.presets is not None}
    for place, name in enumerate(NAMES)
}
"""The values of each algorithm. ``parents`` is a share of the population and ``fewest`` the least number of them;
``sigma`` is the first mutation step size, ``schedule`` its adaptation and ``final_sigma`` a share of it; a "usual"
``step`` is that of `usual_step`."""

# Two parents of the best tenth and no boost: for the runs, studies and benchmarks that name it.
SETTINGS["mask"] = SETTINGS["ga"] | {"parents": 0.1, "fewest": 2, "boost": 1.0, "mates": 2}


def canonical(name: str) -> str:
    """Return the present name of an algorithm.

    Raises
    ------
    ValueError
        If no algorithm has this name.
    """
    known = ALIASES.get(name, name) if isinstance(name, str) else name
    if known not in SETTINGS:
        raise ValueError(f"preset must be {' or '.join(map(repr, NAMES))}, got {name!r}")
    return known


def add_settings(parser: argparse.ArgumentParser, names: Collection[str] = tuple(OPTIONS)) -> None:
    """Add the options of some settings to a parser."""
    for name in names:
        OPTIONS[name].add_to(parser)


def as_now(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run by their present names, with the values of those that older runs did not have."""
    older = {s.name: s.usual for s in TABLE if s.usual is not None}
    older |= {s.name: s.before for s in TABLE if s.before is not None and s.has_effect(config)}
    now = ALIASES.get(str(config.get("preset")))
    return older | dict(config) | ({} if now is None else {"preset": now})
