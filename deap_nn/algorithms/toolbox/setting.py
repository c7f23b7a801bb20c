"""An entry of the table of settings, and the argparse arguments for the kinds of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deap_nn.process.cli import Parser, integer, number

RANK, CENTRE, PAIRS = ("rank",), ("centre",), ("rank", "tournament")
"""The ways to choose parents with which a setting has an effect."""

RECIPES = ("breeding", ("recipes",))
"""The setting, and its value, that the settings of recipes need to have an effect."""


@dataclass(frozen=True)
class Setting:
    """A setting of a run; without a help text it has no option."""

    name: str  # as config.json and make_toolbox call it
    group: str = ""  # of ``--help``
    help: str = ""  # its default follows
    kind: Mapping[str, Any] = field(default_factory=dict)  # the argparse arguments for its value
    presets: tuple[Any, Any, Any] | None = None  # the values under ga, es and article
    derived: bool = False  # the presets hold shares or rules, from which the command computes the value
    default: object = None  # of the option; None if presets, `usual` or other settings decide
    usual: object = None  # the value without option and preset; older runs used it and did not record it
    unset: str = ""  # the default in words; {presets} stands for the values by preset
    before: object = None  # the value of older runs that did not record it, if a preset decides now
    ways: tuple[str, ...] = (*PAIRS, *CENTRE)  # the ways to choose parents with which it has an effect
    needs: tuple[str, tuple[str, ...]] | None = None  # another setting, and its values with which this has an effect
    option: str = ""  # by default its name
    kept: bool = True  # in config.json
    mutable: bool = False  # --resume may change it, as it may those that are not kept or only for recipes

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
        """Whether a resumed run keeps its value."""
        return self.name == "output" or (self.kept and not self.mutable and self.needs != RECIPES)

    def add_to(self, parser: Parser, values: Mapping[str, Any]) -> None:
        """Add its option to a parser; `values` are those of the presets with which it has an effect."""
        values = {name: _in_words(value) for name, value in values.items()}
        first = next(iter(values.values()), None)
        others = (f"{name} {value}" for name, value in values.items() if value != first)
        shown = ", ".join((str(first), *others)) if values else ""
        default = self.unset.format(presets=shown) or shown or self.usual
        words = self.help if self.default not in (None, False) else f"{self.help} [{default}]"
        option = {"dest": self.name, "default": self.default, "help": words, **self.kind}
        parser.groups[self.group].add_argument(self.option, **option)


def _in_words(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else "none" if value is None else str(value)


def way_of(settings: Mapping[str, Any]) -> str:
    """Return the way that parents are chosen: "rank", "tournament", or "centre" for children around one centre."""
    if settings.get("step") is not None:
        return "centre"
    return "rank" if settings.get("tournsize") is None else "tournament"


def seconds_or_off(text: str) -> float | str:
    """Return a number of seconds of at least 0, or "off"."""
    return text if text == "off" else number(0)(text)


def whole(*limits: int) -> dict[str, Any]:
    """Return the argparse arguments for an integer between limits."""
    return {"metavar": "N", "type": integer(*limits)}


def real(*limits: float, unit: str = "X") -> dict[str, Any]:
    """Return the argparse arguments for a number between limits."""
    return {"metavar": unit, "type": number(*limits)}


def one_of(*names: str) -> dict[str, Any]:
    """Return the argparse arguments for one of some names; ``--help`` does not show the deprecated crossover "mean"."""
    return {"choices": names} | ({"metavar": f"{{{','.join(names[:-1])}}}"} if names[-1] == "mean" else {})
