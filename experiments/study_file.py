"""The file of a study, in TOML: its settings, seeds and axis, read and checked for ``sweep.py`` and the tables."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.arguments import options_of
from deap_nn.core.errors import InputError
from deap_nn.maps import MAP_OPTIONS

OF_A_SWEEP = {"output", "resume", "force", "no-progress", "seed", "help", *MAP_OPTIONS}
"""Options of a run that a study cannot set."""

OF_ALL = ("threads", "device")
"""Options that a process can set only once, so that they are the same for all runs."""


@dataclass(frozen=True)
class Study:
    """The content of a study's file.

    Parameters
    ----------
    name : str
        The file's name without its suffix.
    seeds : tuple of int
        The seeds; every setting is run with each of them.
    settings : mapping
        The arguments of each setting's script, by name.
    by : {"evaluations", "gen"}
        The horizontal axis of the figure.
    known : mapping
        Results from elsewhere by name: a place on that axis and an error.
    """

    name: str
    seeds: tuple[int, ...]
    settings: Mapping[str, tuple[str, ...]]
    by: Literal["evaluations", "gen"] = "evaluations"
    known: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def runs(self) -> Iterator[tuple[str, int]]:
        """The settings and seeds of all runs, one seed of all settings after the other."""
        return ((name, seed) for seed in self.seeds for name in self.settings)


def read_study(path: str) -> Study:
    """Return the study in a file; raise `InputError` with the reason if it is not valid."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"argument STUDY: {path} cannot be read: {reason}") from error
    unknown = content.keys() - {"seeds", "common", "settings", "by", "known"}
    if unknown:
        raise InputError(f"argument STUDY: {path}: {min(unknown)} is none of seeds, common, settings, by, known")
    seeds, common, settings = content.get("seeds"), content.get("common", {}), content.get("settings")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise InputError(f"argument STUDY: {path}: seeds must be a list of integers")
    if len(set(seeds)) != len(seeds):
        raise InputError(f"argument STUDY: {path}: seeds must differ")
    tables = [common, *settings.values()] if isinstance(settings, dict) else [settings]
    if not settings or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"argument STUDY: {path}: common and each of settings must be a table of options")
    for name, table in settings.items():
        if table.keys() & set(OF_ALL):
            raise InputError(f"argument STUDY: {path}: {min(table.keys() & set(OF_ALL))} is for [common] only")
        if not name.replace("-", "").replace("_", "").isalnum() or not name[0].isalnum():
            raise InputError(f"argument STUDY: {path}: the setting {name!r} must be named by letters, digits, - and _")
    made = {}
    for name, table in settings.items():
        options = common
        if "method" in table:
            import baselines
            import mnist_options

            kinds = mnist_options.Settings, *ALGORITHMS.values()
            left_out = {option.option for kind in kinds for option in options_of(kind).values()}
            left_out -= {f"--{name.replace('_', '-')}" for name in baselines.common_options(table["method"])}
            options = {name: value for name, value in common.items() if f"--{name.replace('_', '-')}" not in left_out}
        made[name] = tuple(_arguments(options | table, path))
    return Study(Path(path).stem, tuple(seeds), made, *_figure(content, path))


def _figure(content: Mapping[str, Any], path: str) -> tuple[Any, dict[str, tuple[float, float]]]:
    """Return the horizontal axis of a study's figure, and its known points."""
    by, known = content.get("by", "evaluations"), content.get("known", {})
    if by not in ("evaluations", "gen"):
        raise InputError(f"argument STUDY: {path}: by must be evaluations or gen, got {by}")
    points = known.values() if isinstance(known, dict) else [None]
    if not all(isinstance(point, list) and [type(x) in (int, float) for x in point] == [True] * 2 for point in points):
        raise InputError(f"argument STUDY: {path}: known must be a table of points, each a place and an error")
    if not all(0 < error <= 1 and 0 <= place < np.inf for place, error in points):
        raise InputError(f"argument STUDY: {path}: a known point must be at 0 or more, its error above 0 and at most 1")
    if known.keys() & content["settings"].keys():
        raise InputError(f"argument STUDY: {path}: {min(known.keys() & content['settings'].keys())} is a setting")
    return by, {name: (float(place), float(error)) for name, (place, error) in known.items()}


def _arguments(options: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in options.items():
        if name.replace("_", "-") in OF_A_SWEEP:
            raise InputError(f"argument STUDY: {path}: a study cannot set {name}")
        yield f"--{name.replace('_', '-')}={value}"
