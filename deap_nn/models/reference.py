"""References by which problems and tasks hold Keras models, and the weights of models as genomes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import re
import tempfile
import uuid
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

import cloudpickle
import numpy as np

from deap_nn.core.errors import warn_user
from deap_nn.core.seeding import global_state_kept
from deap_nn.genome.vectors import Layout
from deap_nn.models.built_in import BUILT_IN, build_model
from deap_nn.models.outputs import output_layers, outputs_alike, reason_of
from deap_nn.models.tensorflow import check_not_forked, keras, tf


@dataclass(frozen=True)
class ModelReference:
    """A model of a problem: the model itself in the process that made the reference, a Keras file in a task.

    Parameters
    ----------
    digest : str
        The name of a built-in model, else the SHA-256 of the configuration and the state, in which the numbers that
        Keras adds to names do not count.
    key : str
        A unique key of a model whose digest does not tell all, with user code or a vocabulary; otherwise empty.
    name : str
        The name of the model.
    layout : Layout
        The names and shapes of its trainable weights. A name is the variable's path without the name of the model.
    content : keras.Model or bytes
        The model, or what a task has brought, as `packed` returns it.
    inputs : optional
        Some samples as the model takes them, on which a model with user code is compared before it is sent.
    """

    digest: str
    key: str
    name: str = field(compare=False)
    layout: Layout = field(compare=False)
    content: keras.Model | bytes = field(compare=False, repr=False)
    inputs: Any = field(default=None, compare=False, repr=False)

    @cached_property
    def packed(self) -> bytes:
        """The model for other processes, without its trainable weights; empty for a built-in model.

        Raises
        ------
        ValueError
            If Keras cannot build the model again; the message names the layers and what they lack.
        """
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.digest in BUILT_IN else _packed(self.content, self.inputs)

    def __reduce__(self) -> tuple[Any, ...]:
        return ModelReference, (self.digest, self.key, self.name, self.layout, self.packed)


@global_state_kept()
def reference_of(model: str | keras.Model, inputs: Any = None) -> ModelReference:
    """Return the reference of a model, which holds the model itself.

    Parameters
    ----------
    model : str or keras.Model
        The name of a built-in model, or a model that is built.
    inputs : optional
        One or more samples as the model takes them.

    Raises
    ------
    ValueError, TypeError
        If `model` is an unknown name, is not built, has no trainable weights or is not a Keras model.
    """
    if isinstance(model, str):
        made = build_model(model)
        return ModelReference(model, "", model, _layout(made), made)
    check_model(model)
    digest, is_known = _digest(model, by_name=isinstance(inputs, Mapping))
    return ModelReference(digest, "" if is_known else uuid.uuid4().hex, model.name, _layout(model), model, inputs)


def check_model(model: Any) -> None:
    """Raise TypeError if `model` is not a Keras model, ValueError if it is not built or has no trainable weights."""
    check_not_forked()
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a Keras model, got {model!r}: keras.models.load_model reads one from a file")
    if not model.built:
        raise ValueError(f"model {model.name!r} must be built: give it an Input or call build()")
    if not model.trainable_weights:
        raise ValueError(f"model {model.name!r} has no trainable weights")
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise ValueError(f"layer {layer.name!r} is stateful: a network is scored from its weights alone")
    for variable in model.trainable_variables:
        if variable.constraint is not None:
            raise ValueError(f"{variable.path} has a constraint, which children break: take bounds=(low, high) instead")
    regularizers = [variable.regularizer for variable in model.trainable_variables]
    regularizers += [getattr(layer, "activity_regularizer", None) for layer in model._flatten_layers()]
    if any(regularizers):
        warn_user(f"model {model.name!r} has regularizers, which the fitness leaves out", about=model.name)


def is_fitted(model: Any) -> bool:
    """Return whether the optimizer of a Keras model has made a step, or a bias that begins at 0 has another value."""
    if isinstance(model, str):
        return False
    dense = [one for one in model._flatten_layers() if isinstance(one, keras.layers.Dense) and one.use_bias]
    from_zero = [one.bias for one in dense if isinstance(one.bias_initializer, keras.initializers.Zeros)]
    moved = any(bias.trainable and np.any(bias) for bias in from_zero)
    return moved or int(getattr(getattr(model, "optimizer", None), "iterations", 0)) > 0


def _layout(model: keras.Model) -> Layout:
    paths = [variable.path for variable in model.trainable_variables]
    if all(path.startswith(f"{model.name}/") for path in paths):
        paths = [path.removeprefix(f"{model.name}/") for path in paths]
    seen: Counter[str] = Counter()
    names = []
    for path in paths:
        seen[path] += 1
        names.append(path if seen[path] == 1 else f"{path}_{seen[path]}")
    return Layout(tuple(names), tuple(tuple(variable.shape) for variable in model.trainable_variables))


_LOOKUPS = (keras.layers.IntegerLookup, keras.layers.StringLookup, keras.layers.TextVectorization)


def _digest(model: keras.Model, *, by_name: bool) -> tuple[str, bool]:
    """Return the digest of a model, and whether any other model of this digest is the same network.

    With `by_name` the model takes a dictionary of inputs, so the names of its input layers count.
    """
    is_known = not any(isinstance(layer, _LOOKUPS) for layer in model._flatten_layers())
    try:
        with silent_on_lambdas():
            config = json.dumps(_canonical(keras.saving.serialize_keras_object(model), by_name=by_name))
        is_known &= "__lambda__" not in config and not custom_objects_of(model._flatten_layers())
    except Exception:  # a layer without a configuration, which may raise any error
        config, is_known = type(model).__name__, False
    found = hashlib.sha256(f"{config} {[tuple(variable.shape) for variable in model.trainable_variables]}".encode())
    for variable in model.non_trainable_variables:
        if "seed_generator" not in variable.path:  # scoring does not use it
            found.update(np.asarray(variable).tobytes())
    return found.hexdigest(), is_known


def _canonical(config: Any, *, by_name: bool) -> Any:
    """Return a configuration in which Keras' automatic names, such as "dense_3", are numbered in their order."""
    names: dict[str, str] = {}

    def renamed(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [renamed(one) for one in part]
        if not isinstance(part, dict):
            return names.get(part, part) if isinstance(part, str) else part
        kind, inner = part.get("class_name"), part.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        counts = by_name and kind == "InputLayer"
        if isinstance(name, str) and re.sub(r"_\d+$", "", name).replace("_", "") == str(kind).lower() and not counts:
            names.setdefault(name, f"{kind} {len(names)}")
        # How a model was compiled does not matter; the shape on which it was built has the size of a batch.
        left_out = ("build_config", "build_input_shape", "compile_config")
        return {key: renamed(value) for key, value in part.items() if key not in left_out}

    return renamed(config)


def library_of(part: Any) -> str:
    """Return the name of the library of a class, a function or an object, such as "keras"; empty if it has none."""
    return str(getattr(part, "__module__", None) or "").partition(".")[0]


def is_own(part: Any) -> bool:
    """Return whether a class or function is custom: neither Keras' nor TensorFlow's."""
    return library_of(part) not in ("keras", "tensorflow")


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


@contextlib.contextmanager
def silent_on_lambdas() -> Iterator[None]:
    """Silence Keras' warning of a lambda in a configuration: this package loads no lambda from one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`", UserWarning)
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras' own, of NumPy 2
        yield


@global_state_kept()
def _packed(model: keras.Model, inputs: Any) -> bytes:
    """Return a model's Keras file, in which trainable weights are 0, and the user's classes and functions in it."""
    try:
        own = custom_objects_of(model._flatten_layers())
        if clashing := [name for name in own if hasattr(keras.activations, name)]:
            raise ValueError(f"{clashing[0]} is the name of a function of Keras too")
        with tempfile.TemporaryDirectory() as folder, silent_on_lambdas():
            path = Path(folder, "model.keras")
            model.save(path)
            again = keras.models.load_model(path, custom_objects=own, compile=False)
            if not outputs_alike(model, again, inputs if own else None):
                raise ValueError("it has other weights or outputs then")
            for variable in again.trainable_variables:
                variable.assign(tf.zeros(variable.shape, variable.dtype))
            again.save(path)  # without the state of an optimizer
            packed: bytes = cloudpickle.dumps((zlib.compress(path.read_bytes(), 1), own))
    except Exception as error:  # Keras, pickle and the user's code raise any error
        raise ValueError(
            f"model {model.name!r} cannot be built again ({reason_of(error)}): {_advice(model)}; else take the serial "
            "map, and assign the weights to a model that you make"
        ) from error
    return packed


def _advice(model: keras.Model) -> str:
    """Return what to do for a model that Keras cannot build again, with the names of the layers that hold user code."""
    layers = model._flatten_layers()
    named = [f"{layer.name!r} ({type(layer).__name__})" for layer in layers if custom_objects_of([layer])]
    return (
        f"layer {', '.join(named) or repr(model.name)} needs @keras.saving.register_keras_serializable() above its "
        "class and functions, which a lambda cannot have, and a get_config() with all arguments of its __init__"
    )


def _unpacked(packed: bytes) -> keras.Model:
    content, own = pickle.loads(packed)  # noqa: S301  (part of a task, whose sender may run code here)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(zlib.decompress(content))
        return keras.models.load_model(path, custom_objects=own, compile=False)


@global_state_kept()
def load_model(path: Path) -> keras.Model:
    """Load a model from a ``.keras`` file, in Keras' safe mode.

    Raises
    ------
    ValueError
        If the file is damaged, or has classes that are not registered. The message is one line.
    """
    try:
        return keras.models.load_model(path, compile=False)  # a custom loss need not be registered
    except Exception as error:  # zip, JSON, HDF5 and Keras raise many types
        raise ValueError(f"{path}: cannot be loaded ({type(error).__name__}: {reason_of(error)})") from error


def model_of(reference: ModelReference) -> keras.Model:
    """Return the model of a reference, with any weights, to be called and read, not to be changed."""
    return reference.content if isinstance(reference.content, keras.Model) else _kept(reference)


@lru_cache(maxsize=4)
def _kept(reference: ModelReference) -> keras.Model:
    return new_model(reference)


@global_state_kept()
def new_model(reference: ModelReference, *, precision: Literal["float32", "bfloat16"] = "float32") -> keras.Model:
    """Build the model of a reference, with any trainable weights.

    Parameters
    ----------
    reference : ModelReference
        The model.
    precision : {"float32", "bfloat16"}
        With "bfloat16" all layers except the output layers compute in bfloat16; weights stay float32.

    Raises
    ------
    ValueError
        If Keras cannot build the model again.
    RuntimeError
        If this process was forked after TensorFlow had computed.
    """
    check_not_forked()
    model = _unpacked(reference.packed) if reference.packed else build_model(reference.name)
    if precision == "bfloat16":
        # The policy is set after the layers are built: their weights stay float32.
        outer = {id(layer) for layer in output_layers(model)}
        for layer in model._flatten_layers():
            layer.dtype_policy = "float32" if id(layer) in outer else "mixed_bfloat16"
    return model


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
    ValueError
        If shapes do not match, or Keras cannot build the model again.
    """
    model = new_model(reference)
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
