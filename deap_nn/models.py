"""Keras models: the built-in ones, and the way from a model to a genome and back."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from deap_nn import parallel
from deap_nn.weights import Layout


@contextlib.contextmanager
def _without_start_up_notices() -> Iterator[None]:
    """Keep what TensorFlow's libraries write to standard error on import, and pass on all but notices.

    They write before any log level applies, so no setting of theirs silences them.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept.read().decode(errors="replace").splitlines():
                if not re.match(r"WARNING: All log messages before absl|[IW]\d{4} |E\d{4} .*(cuInit|cuda)", line):
                    print(line, file=sys.stderr)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _without_start_up_notices():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()


def configure_tensorflow(threads: int, device: Literal["cpu", "gpu"] = "cpu") -> None:
    """Hide GPUs from TensorFlow unless one is asked for, and limit its threads, before it computes in this process.

    Parameters
    ----------
    threads : int
        At least 1. Where TensorFlow already computes with another number, as it does once a script has built a
        model, a warning says so under SCOOP, whose processes may then differ.
    device : {"cpu", "gpu"}
        What to compute on. Results are promised to repeat on a processor alone.

    Raises
    ------
    ValueError
        If a GPU is asked for and TensorFlow sees none.
    """
    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise ValueError("device: TensorFlow sees no GPU")
    try:
        if device == "cpu":
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        if tf.config.get_visible_devices("GPU"):
            warnings.warn("TensorFlow already computes on a GPU: set CUDA_VISIBLE_DEVICES=-1 to hide it", stacklevel=3)
    config = tf.config.threading
    for name in ("intra", "inter"):
        variable = f"TF_NUM_{name.upper()}OP_THREADS"
        if getattr(config, f"get_{name}_op_parallelism_threads")() == threads or os.environ.get(variable) == str(
            threads
        ):
            continue
        try:
            getattr(config, f"set_{name}_op_parallelism_threads")(threads)
        except RuntimeError:
            if not parallel.running_under_scoop() or threads in _warned_of:  # one process agrees with itself
                return
            warnings.warn(
                f"TensorFlow already computes, not limited to {threads} thread(s), so the last bits of a fitness may "
                f"differ between processes: set {variable}={threads} before TensorFlow is imported",
                stacklevel=3,
            )
            _warned_of.add(threads)
            return


_warned_of: set[int] = set()

__all__ = [
    "BUILT_IN",
    "ModelReference",
    "build_model",
    "check_fit",
    "configure_tensorflow",
    "keras",
    "layout_of",
    "model_of",
    "reference_of",
    "tf",
    "trained_model",
]


@dataclass(frozen=True)
class ModelReference:
    """A model in a form that can be sent: small, unless the model has large weights that are not trained.

    Parameters
    ----------
    name : str
        The name of a built-in model, or the model's own.
    config : str
        Keras' JSON of a model that is not built in; empty otherwise.
    state : tuple of bytes
        The non-trainable weights of such a model.
    """

    name: str
    config: str = ""
    state: tuple[bytes, ...] = ()


def _mnist_deep() -> list[Any]:
    layers = keras.layers
    return [
        layers.Conv2D(32, 5, padding="same", activation="relu", name="conv1"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Conv2D(64, 5, padding="same", activation="relu", name="conv2"),
        layers.MaxPooling2D(2, name="pool2"),
        layers.Flatten(name="flatten"),
        layers.Dense(1024, activation="relu", name="fc1"),
        layers.Dense(10, name="fc2"),
    ]


def _mlp() -> list[Any]:
    layers = keras.layers
    return [
        layers.Flatten(name="flatten"),
        layers.Dense(64, activation="relu", name="hidden"),
        layers.Dense(10, name="output"),
    ]


BUILT_IN: dict[str, Callable[[], list[Any]]] = {"mnist_deep": _mnist_deep, "mlp": _mlp}
"""The layers of the built-in models for images of 28 x 28 x 1; all answer with ten logits.

``mnist_deep`` is the network of TensorFlow's tutorial "Deep MNIST for Experts" (3,274,634 weights), whose
dropout plays no part in evaluation; ``mlp`` is 784-64-10.
"""


def build_model(name: str) -> keras.Model:
    """Build a built-in model, with Keras' own initial weights.

    Raises
    ------
    ValueError
        If `name` is none of ``BUILT_IN``.
    """
    if name not in BUILT_IN:
        raise ValueError(f"model must be a Keras model or one of {', '.join(BUILT_IN)}, got {name!r}")
    return keras.Sequential([keras.Input((28, 28, 1)), *BUILT_IN[name]()], name=name)


def reference_of(model: str | keras.Model) -> ModelReference:
    """Return what another process needs to build `model` again, its trainable weights aside.

    Raises
    ------
    ValueError, TypeError
        If `model` is an unknown name, is not built, or no Keras model.
    """
    if isinstance(model, str):
        build_model(model)
        return ModelReference(model)
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a Keras model or a name, got {type(model).__name__}")
    if not model.built:
        raise ValueError(f"model {model.name!r} must be built: give it an Input or call build()")
    state = tuple(np.asarray(variable).tobytes() for variable in model.non_trainable_variables)
    reference = ModelReference(model.name, model.to_json(), state)
    try:
        again = model_of(reference)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise TypeError(
            f"model {model.name!r} cannot be built again from its configuration: it must be Sequential or functional, "
            "and layers of your own be registered with keras.saving.register_keras_serializable"
        ) from error
    if [v.shape for v in again.trainable_variables] != [v.shape for v in model.trainable_variables]:
        raise TypeError(f"model {model.name!r} comes out of its configuration with other weights")
    return reference


def model_of(reference: ModelReference, *, precision: Literal["float32", "bfloat16"] = "float32") -> keras.Model:
    """Build the model of a reference anew; its trainable weights are Keras' initial ones.

    Parameters
    ----------
    reference : ModelReference
        The model.
    precision : {"float32", "bfloat16"}
        "bfloat16" lets every layer compute in it, with weights that are still float32.
    """
    model = keras.models.model_from_json(reference.config) if reference.config else build_model(reference.name)
    if precision == "bfloat16":
        for layer in model._flatten_layers(include_self=True):
            layer.dtype_policy = "mixed_bfloat16"
    for variable, content in zip(model.non_trainable_variables, reference.state, strict=True):
        dtype = np.dtype(variable.dtype)
        variable.assign(np.frombuffer(content, dtype=dtype).reshape(variable.shape))
    return model


@lru_cache(maxsize=16)
def layout_of(reference: ModelReference) -> Layout:
    """Return names and shapes of the trainable weights, in the model's order.

    A name is the variable's path without the model's own name: ``conv1/kernel``.
    """
    variables = model_of(reference).trainable_variables
    paths = [variable.path for variable in variables]
    if all(path.startswith(f"{reference.name}/") for path in paths):
        paths = [path.removeprefix(f"{reference.name}/") for path in paths]
    return Layout(tuple(paths), tuple(tuple(variable.shape) for variable in variables))


def trained_model(reference: ModelReference, weights: Sequence[Any]) -> keras.Model:
    """Build the model of a reference with `weights` as its trainable weights.

    Parameters
    ----------
    reference : ModelReference
        The model.
    weights : sequence of array_like
        A matrix for each trainable weight: an individual.

    Raises
    ------
    ValueError
        If shapes do not match.
    """
    model = model_of(reference)
    shapes = tuple(np.shape(matrix) for matrix in weights)
    expected = tuple(tuple(variable.shape) for variable in model.trainable_variables)
    if shapes != expected:
        raise ValueError(f"weights must have the shapes {expected}, got {shapes}")
    for variable, matrix in zip(model.trainable_variables, weights, strict=True):
        variable.assign(matrix)
    return model


def check_fit(reference: ModelReference, sample_shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError where samples do not fit a model's input, or classes its output.

    Parameters
    ----------
    reference : ModelReference
        The model.
    sample_shape : tuple of int
        The shape of one sample.
    classes : int
        How many classes the labels name.
    """
    model = model_of(reference)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"model {reference.name!r} must have one input and one output")
    wanted, answers = tuple(model.inputs[0].shape[1:]), int(model.outputs[0].shape[-1])
    fits = None in wanted if None in wanted else np.prod(sample_shape) == np.prod(wanted)
    if not fits:
        raise ValueError(f"model {reference.name!r} takes samples of shape {wanted}, the data have {sample_shape}")
    if classes > answers:
        raise ValueError(f"model {reference.name!r} tells {answers} classes apart, the data have {classes}")
