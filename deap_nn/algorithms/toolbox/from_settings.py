"""The toolbox of a run, wired by the settings that its folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deap import base

from deap_nn.algorithms.toolbox.make import make_toolbox
from deap_nn.algorithms.toolbox.presets import ALIASES, SETTINGS
from deap_nn.data.dataset import Dataset
from deap_nn.models.weight_files import read_weights
from deap_nn.operators.adaptation.feedback import ErrorScaled, OneFifth, SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation
from deap_nn.operators.adaptation.schedules import Annealed, Constant
from deap_nn.runs.config import digest_of


def toolbox_of(settings: Mapping[str, Any], dataset: Dataset) -> base.Toolbox:
    """Return the toolbox of a run, wired by the settings that ``config.json`` keeps.

    Raises
    ------
    ValueError, TypeError, KeyError
        If a setting is out of range, of the wrong kind or missing.
    """
    names = ["seed", "batch_size", "validation_size", "parents", "threads", "fitness", "init", "scale", "precision"]
    names += ["device"]
    optional = ["batch_generations", "mutation_indpb", "mutated_matrices"]
    around_centre = settings.get("step") is not None
    if around_centre:
        optional.append("step")
    else:
        names.append("crossover")
        optional += ["mates", "tournsize", "elites", "elite_batches", "indpb"]
        if settings.get("tournsize") is None:
            names += ["pressure", "boost"]
    chosen = {name: settings[name] for name in names}
    chosen |= {name: settings[name] for name in optional if settings.get(name) is not None}
    if around_centre:
        chosen["sampling"] = settings.get("sampling") or "mirrored"  # as it was before there was a choice
    else:
        chosen.setdefault("mates", 2)  # as it was before there was a choice
        if settings.get("tournsize") is not None:
            del chosen["parents"]
    chosen["preset"] = _preset_of(settings, around_centre=around_centre)
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
        from deap_nn.models.reference import layout_of, reference_of

        chosen["init"] = read_weights(_same_file(settings, "init_weights"), layout_of(reference_of(model)))
    return make_toolbox(model, dataset, sigma=_adaptation_of(settings), **chosen)


def _preset_of(settings: Mapping[str, Any], *, around_centre: bool) -> str:
    """Return the name of a run's algorithm, which older runs call otherwise; all its arguments are in the settings."""
    name = str(settings.get("preset"))
    known = ALIASES.get(name, name)
    if known in SETTINGS and (SETTINGS[known]["step"] is not None) == around_centre:
        return known
    return "es" if around_centre else "ga"


def _same_file(settings: Mapping[str, Any], name: str) -> Path:
    """Return the file that a setting names, if it is there and what it was when the run began."""
    path, digest = Path(settings[name]), settings.get(f"{name}_sha256")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if digest is not None and digest_of(path) != digest:
        raise ValueError(f"{path}: is not what it was when the run began")
    return path


def _adaptation_of(settings: Mapping[str, Any]) -> Adaptation:
    """Return what the strength of mutation goes by."""
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
