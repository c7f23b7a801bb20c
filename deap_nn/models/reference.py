"""References by which Keras models are rebuilt, and their weights as genomes."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deap_nn.core.seeding import global_state_kept
from deap_nn.genome.layout import Layout
from deap_nn.models.built_in import _check_name, build_model
from deap_nn.models.custom_objects import are_of_keras, by_name, custom_objects_of, holds_alike, silent_on_lambdas
from deap_nn.models.outputs import output_layers, outputs_alike, reason_of
from deap_nn.models.state import Asset, assets_of, check_archive, state_of, take_state
from deap_nn.models.tensorflow import check_not_forked, keras, tf

__all__ = ["ModelReference", "assign_weights", "layout_of", "load_model", "model_of", "reference_of", "trained_model"]


@dataclass(frozen=True)
class ModelReference:
    """A model in a form that can be sent; it is small unless the model has large non-trainable weights.

    Parameters
    ----------
    name : str
        The name of a built-in model, or the name of the model itself.
    config : str
        Keras' JSON configuration of a model that is not built in; otherwise empty.
    state : tuple of bytes
        The bytes of its non-trainable weights; none for a random generator's, which scoring does not use.
    names, shapes : tuple
        The names and shapes of its trainable weights.
    own : tuple of type and callable
        The custom classes of the model and its layers, and the custom functions that these hold.
    called_on : str
        JSON of its inputs: a shape and a type for each array, without the dimension of samples.
    assets : tuple of Asset
        The files of its layers, such as vocabularies.
    held : int
        The number under which this process holds the model itself, if it cannot be rebuilt; otherwise 0.
    """

    name: str
    config: str = ""
    state: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    own: tuple[Any, ...] = ()
    called_on: str = ""
    assets: tuple[Asset, ...] = ()
    held: int = 0


def reference_of(model: str | keras.Model, inputs: Any = None) -> ModelReference:
    """Return the reference by which another process rebuilds `model`, without its trainable weights.

    Parameters
    ----------
    model : str or keras.Model
        The name of a built-in model, or a model that is built.
    inputs : optional
        One or more samples as the model takes them. With them a subclassed model can be rebuilt too. A model that
        cannot be rebuilt is then held by this process, and its reference is valid only here.

    Raises
    ------
    ValueError, TypeError
        If `model` is an unknown name, is not built or not a Keras model, or cannot be rebuilt without `inputs`.
    """
    if isinstance(model, str):
        _check_name(model)
        return ModelReference(model)
    check_model(model)
    state, names = state_of(model), _names(model)
    shapes = tuple(tuple(variable.shape) for variable in model.trainable_variables)
    called_on = "" if inputs is None else json.dumps(keras.tree.map_structure(_outline, inputs))
    failure: Exception | None = None
    try:
        own = custom_objects_of((model, *model._flatten_layers())) if called_on else ()
        assets = assets_of(model)
        for config in _configurations(model):
            reference = ModelReference(model.name, config, state, names, shapes, own, called_on, assets)
            try:
                again = model_of(reference)
                if _made_alike(model, again, inputs):
                    _keep_spare(reference, again)
                    return reference
                failure = None
            except _NOT_AGAIN as error:
                failure = error
    except _NOT_AGAIN as error:
        failure = error
    if called_on:
        return _hold(model, state, shapes)
    if failure is None:
        raise TypeError(f"model {model.name!r} has other weights or functions when built again from its configuration")
    raise TypeError(
        f"model {model.name!r} cannot be built again from its configuration: make it Sequential or functional, and "
        "register your own layers and functions with keras.saving.register_keras_serializable; or take a KerasProblem"
    ) from failure


_NOT_AGAIN = (TypeError, ValueError, NotImplementedError, AttributeError, LookupError, OSError, tf.errors.OpError)
"""The errors of Keras and of layers if a model cannot be rebuilt."""


def _configurations(model: keras.Model) -> list[str]:
    """Return Keras' JSON of a model; of a compiled one also without its losses, which scoring does not use."""
    compiled = [one for one in model._flatten_layers() if isinstance(one, keras.Model) and one.compiled]
    found = []
    with silent_on_lambdas():
        if compiled:
            with contextlib.suppress(*_NOT_AGAIN):
                found.append(model.to_json())
        for one in compiled:  # setattr of a layer would track the attribute
            vars(one)["get_compile_config"] = dict
        try:
            found.append(model.to_json())
        finally:
            for one in compiled:
                del vars(one)["get_compile_config"]
    return found


def check_model(model: Any) -> None:
    """Raise TypeError if `model` is not a Keras model, ValueError if it is not built or has no trainable weights."""
    check_not_forked()
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a Keras model or a name, got {type(model).__name__}")
    if not model.built:
        raise ValueError(f"model {model.name!r} must be built: give it an Input or call build()")
    if not model.trainable_weights:
        raise ValueError(f"model {model.name!r} has no trainable weights")
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise ValueError(f"layer {layer.name!r} is stateful: a network is scored from its weights alone")


def _outline(array: Any) -> dict[str, Any]:
    array = np.asarray(array)
    return {"shape": list(array.shape[1:]), "dtype": str(array.dtype)}


def _names(model: keras.Model) -> tuple[str, ...]:
    """Return a unique name for each trainable weight: its path without the name of the model."""
    paths = [variable.path for variable in model.trainable_variables]
    if all(path.startswith(f"{model.name}/") for path in paths):
        paths = [path.removeprefix(f"{model.name}/") for path in paths]
    seen: Counter[str] = Counter()
    names = []
    for path in paths:
        seen[path] += 1
        names.append(path if seen[path] == 1 else f"{path}_{seen[path]}")
    return tuple(names)


LARGEST_SPARE = 1_000_000
"""The most weights of a model that is kept for the next `model_of`, after `reference_of` has built it to compare it."""

_spare: dict[int, tuple[ModelReference, keras.Model]] = {}  # by the `id` of the reference; one at most
_held: dict[int, keras.Model] = {}
_holders: Counter[int] = Counter()  # the references of each held model that are not released
_numbers = itertools.count(1)


def _hold(model: keras.Model, state: tuple[bytes, ...], shapes: tuple[tuple[int, ...], ...]) -> ModelReference:
    """Hold a model that cannot be rebuilt in this process, and return its reference."""
    number = next((number for number, other in _held.items() if other is model), 0) or next(_numbers)
    _held[number] = model
    _holders[number] += 1
    return ModelReference(model.name, state=state, names=_names(model), shapes=shapes, held=number)


def _keep_spare(reference: ModelReference, again: keras.Model) -> None:
    """Keep a small model for the next `model_of`, if it is as new: a layer of one's own may note that it was called."""
    _spare.clear()
    if are_of_keras([again, *again._flatten_layers()]) and again.count_params() <= LARGEST_SPARE:
        _spare[id(reference)] = reference, again


def release(reference: ModelReference | None) -> None:
    """Release the model that is kept for a reference, and one that cannot be rebuilt if no other reference needs it."""
    if reference is None:
        return
    _spare.pop(id(reference), None)
    _holders[reference.held] -= 1
    if _holders[reference.held] <= 0:
        del _holders[reference.held]
        _held.pop(reference.held, None)


def _made_alike(model: keras.Model, again: keras.Model, inputs: Any) -> bool:
    """Return whether a rebuilt model has the same shapes and custom functions, and the same outputs for `inputs`."""
    shapes = [[variable.shape for variable in one.trainable_variables] for one in (model, again)]
    layers = [list(one._flatten_layers()) for one in (model, again)]
    if shapes[0] != shapes[1] or len(layers[0]) != len(layers[1]) or not all(map(holds_alike, *layers)):
        return False
    return inputs is None or outputs_alike(model, again, inputs)


@global_state_kept()
def load_model(path: Path) -> keras.Model:
    """Load a model from a ``.keras`` file.

    Raises
    ------
    ValueError
        If the file is damaged, has classes that are not registered, or takes more memory than `check_archive` allows.
        The message is one line.
    """
    try:
        check_archive(path)
        return keras.models.load_model(path, compile=False)  # a custom loss need not be registered
    except Exception as error:  # zip, JSON, HDF5 and Keras raise many types
        raise ValueError(f"{path}: cannot be loaded ({type(error).__name__}: {reason_of(error)})") from error


@global_state_kept()
def model_of(reference: ModelReference, *, precision: Literal["float32", "bfloat16"] = "float32") -> keras.Model:
    """Build the model of a reference with Keras' initial trainable weights, or return the model that is held.

    It may be the one that `reference_of` built to compare it.

    Parameters
    ----------
    reference : ModelReference
        The model.
    precision : {"float32", "bfloat16"}
        With "bfloat16" all layers except the output layers compute in bfloat16; weights stay float32.

    Raises
    ------
    TypeError
        If the model can neither be built nor is held by this process.
    RuntimeError
        If this process was forked after TensorFlow had computed.
    """
    check_not_forked()
    if reference.held:
        if reference.held not in _held:
            raise TypeError(
                f"model {reference.name!r} cannot be built in another process: give your own classes a get_config() "
                "and from_config(), define your own functions by def, and register them with "
                "keras.saving.register_keras_serializable"
            )
        return _held[reference.held]
    if precision == "float32" and (spare := _spare.pop(id(reference), None)) is not None:
        return spare[1]  # the caller's own, as a new one would be
    model = _from_config(reference) if reference.config else build_model(reference.name)
    if precision == "bfloat16":
        # The policy is set after the layers are built: their weights stay float32.
        outer = {id(layer) for layer in output_layers(model)}
        for layer in model._flatten_layers(include_self=True):
            layer.dtype_policy = "float32" if id(layer) in outer else "mixed_bfloat16"
    take_state(model, reference.state, reference.assets)
    return model


def _from_config(reference: ModelReference) -> keras.Model:
    """Build a model from its configuration; a custom class gets the arguments that its ``__init__`` takes."""
    own = by_name(reference.own)
    said = json.loads(reference.config)
    kind = own.get(said["class_name"])
    if kind is None or not issubclass(kind, keras.Model):
        return keras.models.model_from_json(reference.config, custom_objects=own)
    with keras.saving.CustomObjectScope(own):
        known = inspect.signature(kind).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        given = said["config"].items()
        model: keras.Model = kind.from_config({name: value for name, value in given if takes_all or name in known})
    model(_zeros(json.loads(reference.called_on)))
    return model


def _zeros(outline: Any) -> Any:
    """Return one sample of zeros for each array of an outline."""
    if isinstance(outline, dict) and set(outline) == {"shape", "dtype"}:
        return np.zeros((1, *outline["shape"]), outline["dtype"])
    if isinstance(outline, dict):
        return {name: _zeros(part) for name, part in outline.items()}
    return [_zeros(part) for part in outline]


@lru_cache(maxsize=16)
def layout_of(reference: ModelReference) -> Layout:
    """Return the names and shapes of the trainable weights, in the model's order.

    A name is the variable's path without the name of the model, such as ``conv1/kernel``.
    """
    if reference.names:
        return Layout(reference.names, reference.shapes)
    model = model_of(reference)
    return Layout(_names(model), tuple(tuple(variable.shape) for variable in model.trainable_variables))


def trained_model(reference: ModelReference, weights: Sequence[Any]) -> keras.Model:
    """Build the model of a reference with `weights` as its trainable weights.

    Parameters
    ----------
    reference : ModelReference
        The model.
    weights : sequence of array_like
        A matrix for each trainable weight, such as an individual.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, or the model cannot be built.
    """
    if reference.held:
        raise TypeError(
            f"model {reference.name!r} cannot be built again: assign the weights to a model that you make, or give "
            "your own classes a get_config(), define your own functions by def, and register them with "
            "keras.saving.register_keras_serializable"
        )
    model = model_of(reference)
    assign_weights(model, weights)
    return model


def assign_weights(model: keras.Model, weights: Sequence[Any]) -> None:
    """Assign `weights` to the trainable weights of a model.

    Raises
    ------
    ValueError
        If shapes do not match.
    """
    shapes = tuple(np.shape(matrix) for matrix in weights)
    expected = tuple(tuple(variable.shape) for variable in model.trainable_variables)
    if shapes != expected:
        raise ValueError(f"weights must have the shapes {expected}, got {shapes}")
    for variable, matrix in zip(model.trainable_variables, weights, strict=True):
        variable.assign(matrix)
