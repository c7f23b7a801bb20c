"""An entry of the table of settings, and the kinds of values that an option takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deap_nn.process.cli import Parser, integer, number

RANK, CENTRE, PAIRS = ("rank",), ("centre",), ("rank", "tournament")
"""How parents are chosen: the ways with which a setting has an effect."""

RECIPES = ("breeding", ("recipes",))
"""The setting, and its value, without which the settings of recipes have no effect."""


@dataclass(frozen=True)
class Setting:
    """A setting of a run; without a help text it has no option."""

    name: str  # as config.json and make_toolbox call it
    group: str = ""  # of ``--help``
    help: str = ""  # its default follows
    kind: Mapping[str, Any] = field(default_factory=dict)  # what argparse is told about its value
    presets: tuple[Any, Any, Any] | None = None  # the values under ga, es and article
    derived: bool = False  # those are shares or rules, of which the command makes the value
    default: object = None  # of the option; None where presets, `usual` or other settings decide
    usual: object = None  # without an option and a preset; older runs had it, and not in config.json
    unset: str = ""  # the default in words; {presets} stands for the values by preset
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

    def add_to(self, parser: Parser, values: Mapping[str, Any]) -> None:
        """Add its option to a parser; `values` are those of the presets with which it has an effect."""
        shown = ", ".join(f"{name} {'none' if value is None else value}" for name, value in values.items())
        said = self.unset.format(presets=shown) or shown or self.usual
        words = self.help if self.default not in (None, False) else f"{self.help} (default: {said})"
        option = {"dest": self.name, "default": self.default, "help": words, **self.kind}
        parser.groups[self.group].add_argument(self.option, **option)


def way_of(settings: Mapping[str, Any]) -> str:
    """Return how parents are chosen: by rank, by tournaments, or around a centre."""
    if settings.get("step") is not None:
        return "centre"
    return "rank" if settings.get("tournsize") is None else "tournament"


def seconds_or_off(text: str) -> float | str:
    """Return a number of seconds of at least 0, or "off"."""
    return text if text == "off" else number(0)(text)


def whole(*limits: int) -> dict[str, Any]:
    """Return what argparse is told about an integer between limits."""
    return {"metavar": "N", "type": integer(*limits)}


def real(*limits: float, unit: str = "X") -> dict[str, Any]:
    """Return what argparse is told about a number between limits."""
    return {"metavar": unit, "type": number(*limits)}


def named(*names: str) -> dict[str, Any]:
    """Return what argparse is told about one of some names; what is deprecated is not shown."""
    return {"choices": names} | ({"metavar": f"{{{','.join(names[:-1])}}}"} if names[-1] == "mean" else {})
