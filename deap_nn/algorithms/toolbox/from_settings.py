"""The toolbox of a run, wired from the settings in its folder."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deap import base

from deap_nn.algorithms.toolbox.make import make_toolbox
from deap_nn.algorithms.toolbox.settings import SETTINGS, TABLE, as_now
from deap_nn.data.dataset import Dataset
from deap_nn.operators.adaptation.feedback import ErrorScaled, OneFifth, SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation
from deap_nn.operators.adaptation.schedules import Annealed, Constant
from deap_nn.runs.config import digest_of

OTHERWISE = {"model", "data", "preset", "sigma", "population", "generations"}
TAKEN = inspect.signature(make_toolbox).parameters.keys() - OTHERWISE
"""The settings that are passed to `make_toolbox` unchanged."""


def toolbox_of(settings: Mapping[str, Any], dataset: Dataset) -> base.Toolbox:
    """Return the toolbox of a run, wired from the settings in its ``config.json``.

    Raises
    ------
    ValueError, TypeError, KeyError
        If a setting is out of range, of the wrong kind or missing.
    """
    settings = as_now(settings)
    chosen: dict[str, Any] = {}
    for setting in TABLE:
        if setting.name in TAKEN and setting.has_effect(settings):
            decided = setting.default is not None or setting.presets is not None
            value = settings[setting.name] if decided else settings.get(setting.name)
            if decided or value is not None:
                chosen[setting.name] = value
    chosen["preset"] = _preset_of(settings)
    if chosen["scale"] == "none":
        chosen["scale"] = None
    model: Any = settings.get("model")
    if settings.get("keras") is not None:
        from deap_nn.models.reference import load_model
        from deap_nn.models.tensorflow import configure_tensorflow

        configure_tensorflow(settings["threads"], settings["device"])
        model = load_model(_same_file(settings, "keras"))
    elif model is None:
        raise KeyError("model")
    if settings.get("init_weights") is not None:
        chosen["init"] = _same_file(settings, "init_weights")
    return make_toolbox(model, dataset, sigma=_adaptation_of(settings), **chosen)


def _preset_of(settings: Mapping[str, Any]) -> str:
    """Return the present name of a run's algorithm: older runs have other names, but all arguments are settings."""
    around_centre, name = settings.get("step") is not None, str(settings.get("preset"))
    if name in SETTINGS and (SETTINGS[name]["step"] is not None) == around_centre:
        return name
    return "es" if around_centre else "ga"


def _same_file(settings: Mapping[str, Any], name: str) -> Path:
    """Return the file that a setting names; ValueError if it is missing or has changed since the run began."""
    path, digest = Path(settings[name]), settings.get(f"{name}_sha256")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if digest is not None and digest_of(path) != digest:
        raise ValueError(f"{path}: has changed since the run began")
    return path


def _adaptation_of(settings: Mapping[str, Any]) -> Adaptation:
    """Return the adaptation of the mutation's sigma."""
    schedule, sigma = settings["schedule"], settings["sigma"]
    if schedule == "error":
        return ErrorScaled(sigma)
    if schedule == "constant" or sigma == 0:
        return Constant(sigma)
    if schedule == "one-fifth":
        return OneFifth(sigma, settings["final_sigma"])
    if schedule == "self-adaptive":
        return SelfAdaptive(sigma, settings["final_sigma"])
    generations = max(1, settings["schedule_generations"])
    return Annealed(sigma, settings["final_sigma"], generations, shape=schedule)
