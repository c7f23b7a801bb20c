"""Keras models: the built-in ones, files of weights, and references by which a worker rebuilds a model."""

from typing import Any

from deap_nn.core.optional import lazy

_PLACES = {
    "BUILT_IN": "models.built_in",
    "ModelReference": "models.reference",
    "assign_weights": "models.reference",
    "build_model": "models.built_in",
    "check_model": "models.reference",
    "configure_tensorflow": "models.tensorflow",
    "keras": "models.tensorflow",
    "layout_of": "models.reference",
    "load_model": "models.reference",
    "model_of": "models.reference",
    "reference_of": "models.reference",
    "release": "models.reference",
    "tf": "models.tensorflow",
    "trained_model": "models.reference",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    return lazy(__name__, _PLACES, name)
