"""The outputs of a run's result on validation samples, which the report shows."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.callbacks.base import Evolution
from deap_nn.callbacks.candidates import SCORED_EVERY
from deap_nn.callbacks.traces import RowTrace, image_shape
from deap_nn.core.files import write_arrays
from deap_nn.core.registered import Registered
from deap_nn.data.minibatches import Strata, batch_indices

MOST_CLASSES = 2_000
"""The most classes of outputs that are kept: the confusion matrix of this number takes 32 MB."""

MOST_SHARED, MOST_MEMBERS, MOST_SHOWN_CLASSES = 20, 100, 20
"""The most generations, members and classes of which the members' answers are kept."""

MOST_SHOWN = 200
"""The most samples that are shown beside a curve or a surface."""

MOST_MISREAD = 48
"""The most misclassified samples that are kept with their images."""


def write_predictions(
    path: str | os.PathLike[str], toolbox: base.Toolbox, individual: Any, *, size: int | None = None
) -> None:
    """Write a network's predictions for validation samples, and some of the samples that it misclassifies.

    Without classes, or with more than ``MOST_CLASSES``, no file is written.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file. ``confusion``, shape (classes, classes), counts the samples of a class (row) that were
        predicted as a class (column). At most ``MOST_MISREAD`` misclassified samples follow, those with the most
        probable prediction of each class in turn: ``samples`` (their places in the validation part), ``labels``,
        ``answers`` (the predicted classes), ``probabilities`` (of the prediction and of the label, shape (misread, 2))
        and ``images``, bytes, if the samples are images.
    toolbox : deap.base.Toolbox
        As `make_toolbox` wires it, for labelled data, or for a `KerasProblem` with "error" or "cross_entropy" of a
        single output and with validation samples.
    individual : WeightList
        The network.
    size : int, optional
        The number of samples, the first ones, at least 1; all if left out.
    """
    found = _predicted(Registered.read(toolbox).problem, individual, size)
    if found is None:
        return
    x, y, probabilities = found
    if probabilities.shape[1] > MOST_CLASSES:
        return
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((probabilities.shape[1],) * 2, np.int64)
    np.add.at(confusion, (y, predicted), 1)
    sure = probabilities.max(axis=1)
    chosen = _in_turn(y, sure, np.flatnonzero(predicted != y))[:MOST_MISREAD]
    arrays: dict[str, Any] = {
        "confusion": confusion,
        "samples": chosen,
        "labels": y[chosen],
        "answers": predicted[chosen],
        "probabilities": np.stack([sure[chosen], probabilities[chosen, y[chosen]]], axis=1),
    }
    if x is not None and image_shape(x.shape[1:]) is not None:
        arrays["images"] = as_bytes(x[chosen], x)
    write_arrays(path, arrays, durable=True)


def write_curve(
    path: str | os.PathLike[str], x: NDArray[Any], y: NDArray[Any], ask: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    """Write what a network of one or two inputs and one output computes, beside its samples.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file: ``inputs``, shape (at most ``MOST_SHOWN``, inputs), ``targets`` and ``found``, the outputs for
        them; ``grid``, the outputs for evenly spaced inputs, shape (101,) or (41, 41), the first input along the
        columns; and ``constant``, the variance of the targets, which is the mean squared error of the best constant.
    x, y : numpy.ndarray
        Samples of shape (samples, 1 or 2), and their targets, shape (samples,).
    ask : callable
        Returns the outputs for samples, shape (samples,).
    """
    low, high = x.min(axis=0), x.max(axis=0)
    axes = [np.linspace(*ends, 101 if len(low) == 1 else 41) for ends in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).astype(x.dtype)
    shown = x[:MOST_SHOWN]
    arrays = {"inputs": shown, "targets": y[:MOST_SHOWN], "found": ask(shown), "constant": np.var(y)}
    write_arrays(path, {**arrays, "grid": ask(grid.reshape(-1, len(low))).reshape(grid.shape[:-1])}, durable=True)


def write_curve_of(path: str | os.PathLike[str], toolbox: base.Toolbox, model: Any) -> None:
    """Write the curve of a Keras model, if the toolbox's problem has one or two inputs and one output of no classes."""
    from deap_nn.data.loading import find_dataset

    problem = Registered.read(toolbox).problem
    if problem is None or problem.objectives[0].kind in ("error", "cross_entropy"):
        return
    data = find_dataset(problem.data)
    inputs, targets = data.halves("validation" if data.size("validation") else "train")
    if len(inputs) == len(targets) == 1 and inputs[0].ndim == 2 and inputs[0].shape[1] < 3 and targets[0][0].size == 1:
        write_curve(path, inputs[0], targets[0].reshape(-1), lambda x: np.asarray(model(x)).reshape(-1))


class AnswerTrace(RowTrace):
    """The predicted classes: ``answers``, shape (rows, samples), bytes, and ``labels`` of all validation samples.

    They cost a pass over these samples, so the distance of the generations doubles: 0, 25, 50, 100, 200 and so on.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "answers", {}, sys.maxsize)

    def row(self, evolution: Evolution) -> NDArray[np.uint8] | None:
        """Return the predicted classes; None without classes, with more than fit into a byte, or between the rows."""
        turn, rest = divmod(evolution.generation, SCORED_EVERY)
        if rest or turn & (turn - 1):  # the turn is no power of 2
            return None
        found = _predicted(Registered.read(evolution.toolbox).problem, evolution.best, None)
        if found is None or found[2].shape[1] > 256:
            return None
        self._more = {"labels": found[1]}
        return np.asarray(found[2].argmax(axis=1), np.uint8)


class MemberTrace(RowTrace):
    """The answers of the members to the first sample of each class in the mini-batch, from their scoring.

    Parameters
    ----------
    path : Path
        The file. Its ``rows``, bytes of shape (rows, classes, 1 + members + pixels), have for each sample its class,
        the answers of ``members`` members, and its image of ``shape``, every other row and column of the sample.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rows", {}, MOST_SHARED)

    def row(self, evolution: Evolution) -> NDArray[np.uint8] | None:
        """Return the row of a generation; None unless layers move by cases and the samples are images of classes."""
        from deap_nn.data.loading import find_dataset

        problem, answers = Registered.read(evolution.toolbox).problem, evolution.answers[:MOST_MEMBERS]
        inputs, targets = ([], []) if problem is None else find_dataset(problem.data).halves("train")
        if not answers or any(one is None for one in answers) or len(inputs) != 1:
            return None
        if (
            image_shape(inputs[0].shape[1:]) is None
            or np.ndim(targets[0]) != 1
            or targets[0].max() >= MOST_SHOWN_CLASSES
        ):
            return None
        strata = Strata.of(targets[0]) if problem.stratified else None
        batch = batch_indices(problem.seed, evolution.generation, problem.batch_size, len(targets[0]), strata)
        labels = targets[0][batch]
        places = [int(np.argmax(labels == label)) for label in range(int(targets[0].max()) + 1)]
        images = as_bytes(inputs[0][batch[places]], inputs[0][batch])[:, ::2, ::2]
        self._more = {"members": np.array(len(answers)), "shape": np.array(images.shape[1:])}
        parts = labels[places, None], np.array(answers)[:, places].T, images.reshape(len(images), -1)
        return np.concatenate(parts, axis=1, dtype=np.uint8, casting="unsafe")


def best_model(evolution: Evolution, path: Path) -> Any:
    """Return the best member as a Keras model, or None; a warning gives the reason if `path` is not written."""
    registered = Registered.read(evolution.toolbox)
    if registered.to_model is None:
        return None
    try:
        return registered.to_model(evolution.best)
    except ValueError as error:  # Keras cannot build the model again
        warnings.warn(f"{path} is not written: {error}", stacklevel=3)
    return None


def _predicted(problem: Any, individual: Any, size: int | None) -> tuple[Any, NDArray[Any], NDArray[Any]] | None:
    """Return validation samples (None if they have several inputs), their classes, and the classes' probabilities."""
    from deap_nn.data.loading import find_dataset
    from deap_nn.problems.evaluate import class_probabilities

    if problem is None or not (data := find_dataset(problem.data)).size("validation"):
        return None
    if (found := class_probabilities(problem, individual, size)) is None:
        return None
    inputs = data.halves("validation")[0]
    return (inputs[0][:size] if len(inputs) == 1 else None), *found


def _in_turn(labels: NDArray[Any], sure: NDArray[Any], misread: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the misclassified samples, round by round: of each class the one with the most probable prediction."""
    order = sorted(misread.tolist(), key=lambda i: -sure[i])
    seen: dict[int, int] = {}
    turns = []
    for i in order:
        label = int(labels[i])
        turns.append((seen.setdefault(label, 0), label, i))
        seen[label] += 1
    return np.array([i for _, _, i in sorted(turns)], dtype=np.intp)


def as_bytes(images: NDArray[Any], among: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as bytes, shape (images, height, width); other types are scaled by the range of `among`."""
    if images.dtype != np.uint8:
        low, high = float(among.min()), float(among.max())
        images = (images - low) * (255 / (high - low or 1))
    grey = images if images.ndim == 3 else images.mean(axis=-1)
    return grey.round().astype(np.uint8)
