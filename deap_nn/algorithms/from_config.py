"""The toolbox of a run, wired from the settings in its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deap import base

from deap_nn.algorithms.algorithm import ALGORITHMS, ES, GA
from deap_nn.algorithms.toolbox.make import make_toolbox
from deap_nn.core.arguments import check_choice
from deap_nn.data.dataset import Dataset
from deap_nn.runs.files import digest_of


def algorithm_of(config: Mapping[str, Any]) -> GA | ES:
    """Return the algorithm of a run from its ``config.json``.

    Raises
    ------
    ValueError, KeyError
        If a setting is not allowed, or missing.
    """
    check_choice("preset", config["preset"], tuple(ALGORITHMS))
    kind = ALGORITHMS[config["preset"]]
    return kind(**{field.name: config[field.name] for field in dataclasses.fields(kind)})


def toolbox_of(config: Mapping[str, Any], dataset: Dataset) -> base.Toolbox:
    """Return the toolbox of a run, wired from the settings in its ``config.json``.

    Raises
    ------
    ValueError, TypeError, KeyError
        If a setting is not allowed, of the wrong kind or missing.
    """
    model: Any = config["model"]
    if config.get("keras") is not None:
        from deap_nn.models.reference import load_model
        from deap_nn.models.tensorflow import configure_tensorflow

        configure_tensorflow(config["threads"], config["device"])
        model = load_model(_same_file(config, "keras"))
    return make_toolbox(
        model,
        dataset,
        algorithm_of(config),
        init=_same_file(config, "init_weights") if config.get("init_weights") is not None else None,
        **{name: config[name] for name in TAKEN},
    )


TAKEN = ("seed", "population", "generations", "batch_size", "threads", "precision", "device")
"""The settings that are passed to `make_toolbox` unchanged."""


def _same_file(config: Mapping[str, Any], name: str) -> Path:
    """Return the file that a setting names; ValueError if it is missing or has changed since the run began."""
    path, digest = Path(config[name]), config.get(f"{name}_sha256")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if digest is not None and digest_of(path) != digest:
        raise ValueError(f"{path}: has changed since the run began")
    return path
