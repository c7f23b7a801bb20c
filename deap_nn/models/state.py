"""The state of a Keras model beside its trainable weights: other variables, and files of layers adapted to data."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from deap_nn.core.files import ALWAYS_READ, SLACK
from deap_nn.models.tensorflow import keras

Asset = tuple[int, str, bytes]
"""A file of a layer, such as a vocabulary: the index of the layer, the name of the file, its content."""

OWN_VARIABLES = ".npz"
"""The name of the file for the arrays that such a layer keeps beside its own files."""


def check_archive(path: Path) -> None:
    """Raise ValueError if a ``.keras`` file would fill the memory, since Keras makes all layers that the file names.

    The file may unpack to four times its size, and its layers may take four times the size of its weights. Both may
    take ``ALWAYS_READ`` bytes in any case.
    """
    if not zipfile.is_zipfile(path):  # Keras raises, and names the format
        return
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        unpacked, most = sum(sizes.values()), max(ALWAYS_READ, SLACK * path.stat().st_size)
        if unpacked > most:
            raise ValueError(f"unpacks to {unpacked:,} bytes, at most {most:,} are read")
        claimed = _claimed_bytes(archive)
        most = max(ALWAYS_READ, SLACK * sizes.get("model.weights.h5", 0))
        if claimed > most:
            raise ValueError(f"has layers of {claimed:,} bytes, at most {most:,} are made")
        if "model.weights.h5" in sizes:
            with archive.open("model.weights.h5") as weights:
                check_weights(weights, sizes["model.weights.h5"])


def check_weights(file: Path | IO[bytes], size: int) -> None:
    """Raise ValueError if the arrays of an HDF5 file take more bytes than four times its `size` and ``ALWAYS_READ``."""
    most, claimed = max(ALWAYS_READ, SLACK * size), 0

    def add(name: str, found: Any) -> None:
        nonlocal claimed
        if isinstance(found, h5py.Dataset):
            claimed += math.prod(found.shape or ()) * found.dtype.itemsize

    with h5py.File(file, "r") as opened:
        opened.visititems(add)
    if claimed > most:
        raise ValueError(f"has weights of {claimed:,} bytes, at most {most:,} are read")


def _claimed_bytes(archive: zipfile.ZipFile) -> int:
    """Return the bytes of the variables that Keras makes from a ``.keras`` file, until it finds an error in it."""
    global_state = keras.src.backend.common.global_state
    kept = list(global_state.get_global_attribute(_UNMADE, [], set_to_default=True))
    # In this scope variables have a shape and no value. An error here is raised again when the model is loaded.
    with contextlib.suppress(Exception), keras.StatelessScope(initialize_variables=False):
        keras.saving.deserialize_keras_object(json.loads(archive.read("config.json")))
    unmade = global_state.get_global_attribute(_UNMADE)[len(kept) :]
    global_state.set_global_attribute(_UNMADE, kept)  # otherwise the next scope would make them
    return sum(math.prod(variable.shape) * np.dtype(variable.dtype).itemsize for variable in unmade)


_UNMADE = "uninitialized_variables"
"""Keras' name of the list of variables that a scope leaves without a value."""


def state_of(model: keras.Model) -> tuple[bytes, ...]:
    """Return the bytes of each non-trainable weight; none for a random generator's, which scoring does not use."""
    return tuple(b"" if _is_random(v) else np.asarray(v).tobytes() for v in model.non_trainable_variables)


def assets_of(model: keras.Model) -> tuple[Asset, ...]:
    """Return the files of layers that save files with a model, and the arrays of these layers."""
    assets = []
    for place, layer in enumerate(model._flatten_layers()):
        if hasattr(layer, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                layer.save_assets(folder)
                files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
                assets += [(place, str(path.relative_to(folder)), path.read_bytes()) for path in files]
            kept: dict[str, Any] = {}
            layer.save_own_variables(kept)
            content = io.BytesIO()
            # By the prefix no name is a parameter of `savez`.
            arrays = {f"own {name}": np.asarray(value) for name, value in kept.items()}
            np.savez(content, allow_pickle=False, **arrays)
            assets.append((place, OWN_VARIABLES, content.getvalue()))
    return tuple(assets)


def take_state(model: keras.Model, state: Sequence[bytes], assets: Sequence[Asset]) -> None:
    """Give a rebuilt model the state and the layers' files of the original."""
    for variable, content in zip(model.non_trainable_variables, state, strict=True):
        if content:
            dtype = np.dtype(variable.dtype)
            variable.assign(np.frombuffer(content, dtype=dtype).reshape(variable.shape))
    layers = list(model._flatten_layers())
    for layer in layers:
        if isinstance(layer, keras.layers.Normalization):  # it computes with values that it derives from its variables
            layer.finalize_state()
    for place, grouped in itertools.groupby(assets, key=lambda asset: asset[0]):
        files = {name: content for _, name, content in grouped}
        with np.load(io.BytesIO(files.pop(OWN_VARIABLES))) as kept:
            layers[place].load_own_variables({name.removeprefix("own "): kept[name] for name in kept.files})
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            layers[place].load_assets(folder)


def draws(model: keras.Model) -> bool:
    """Whether a model has a random generator, which layers such as Dropout may use in inference too."""
    return any(map(_is_random, model.non_trainable_variables))


def _is_random(variable: Any) -> bool:
    """Whether a variable is the state of a random generator."""
    return "seed_generator" in variable.path
