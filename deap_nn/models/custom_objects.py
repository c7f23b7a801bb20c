"""Custom objects: the users' classes and functions by which a model, a loss or a metric is rebuilt."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from deap_nn.models.tensorflow import keras


def is_own(part: Any) -> bool:
    """Return whether a class or function is custom: neither Keras' nor TensorFlow's."""
    return str(part.__module__).partition(".")[0] not in ("keras", "tensorflow")


def custom_objects_of(holders: Iterable[Any]) -> dict[str, Any]:
    """Return the custom classes of layers, losses or metrics, and the custom parts that they hold, by Keras' names.

    The parts are functions and the classes of initializers, regularizers and constraints.

    Raises
    ------
    ValueError
        If two of them have the same name.
    """
    found: dict[str, Any] = {}
    for holder in holders:
        # Keras wraps methods of a layer, and keeps them as its attributes.
        parts = [value for name, value in vars(holder).items() if not hasattr(type(holder), name)]
        kinds = [type(part) for part in parts if isinstance(part, _PARTS)]
        functions = [part for part in parts if isinstance(part, FunctionType)]
        for part in filter(is_own, (type(holder), *kinds, *functions)):
            name = keras.saving.get_registered_name(part)
            if found.setdefault(name, part) is not part:
                raise ValueError(f"there are two of the name {name}")
    return found


_PARTS = (keras.Initializer, keras.Regularizer, keras.constraints.Constraint)


def missing_arguments(thing: Any, again: Any) -> list[str]:
    """Return the attributes that a loss or metric does not share with the one that its configuration makes, sorted."""
    held, rebuilt = _plain(thing), _plain(again)
    return sorted(name.lstrip("_") for name, value in held.items() if value != rebuilt.get(name))


def _plain(thing: Any) -> dict[str, str]:
    """Return the numbers, texts and arrays that a loss or metric holds, as texts."""
    simple = (int, float, str, bytes, list, tuple, np.ndarray)
    return {name: repr(value) for name, value in vars(thing).items() if isinstance(value, simple)}


@contextlib.contextmanager
def silent_on_lambdas() -> Iterator[None]:
    """Silence Keras' warning of a lambda in a configuration: this package loads no lambda from one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`", UserWarning)
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras' own, of NumPy 2
        yield


def left_out(thing: Any) -> dict[str, Any]:
    """Return the arguments of Keras' own loss or metric that it keeps for the function that it wraps."""
    takes = inspect.signature(type(thing)).parameters
    return {name: value for name, value in (getattr(thing, "_fn_kwargs", None) or {}).items() if name in takes}
