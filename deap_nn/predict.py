"""Classify pictures of digits by the network of a run: ``deap-nn predict RUN IMAGES...``.

A picture is prepared like those of MNIST: light on dark, scaled to 20 by 20 pixels, and centred in 28 by 28 pixels by
its centre of mass.

References
----------
Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass
from scipy.special import expit, softmax

from deap_nn.core.errors import InputError
from deap_nn.core.files import is_plain, printable
from deap_nn.models import keras_extras
from deap_nn.process.cli import Parser, run_command
from deap_nn.runs.config import read_config

SIDE, BOX = 28, 20
"""The sides of MNIST's pictures and of the box that a digit fills, in pixels."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The formats of pictures that are read: others would expose less tested readers of Pillow to a stranger's file."""

MOST_PIXELS = 50_000_000
"""The largest number of pixels of a picture that is read."""

LEAST_CONTRAST = 32
"""The least difference in grey levels between a digit and its background."""


def as_digit(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture in MNIST's format; shape (28, 28).

    Parameters
    ----------
    pixels : numpy.ndarray
        Grey levels, 0 to 255, shape (rows, columns). A light edge means dark on light.

    Raises
    ------
    ValueError
        If the contrast is too low to show a digit.
    """
    from PIL import Image

    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    light = np.median(edge) > (int(pixels.min()) + int(pixels.max())) / 2
    shown = 255.0 - pixels if light else pixels.astype(np.float64)
    shown -= np.median(255.0 - edge if light else edge)
    shown = np.clip(shown, 0, None)
    if shown.max() < LEAST_CONTRAST:
        raise ValueError("shows nothing that stands out")
    shown *= 255.0 / shown.max()
    ink = shown > 255 / 4
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    cut = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = BOX / max(cut.shape)
    height, width = (max(1, round(factor * length)) for length in cut.shape)
    small = np.asarray(Image.fromarray(cut.astype(np.uint8)).resize((width, height), Image.Resampling.LANCZOS))
    if not small.any():  # scaling has averaged out distant specks
        raise ValueError("shows nothing that stands out")
    centre = center_of_mass(small.astype(np.float64))
    corner = [
        int(np.clip(round(SIDE / 2 - c), 0, SIDE - length)) for c, length in zip(centre, small.shape, strict=True)
    ]
    digit = np.zeros((SIDE, SIDE), np.uint8)
    digit[corner[0] : corner[0] + height, corner[1] : corner[1] + width] = small
    return digit


def read_picture(path: str, *, as_it_is: bool = False) -> NDArray[np.uint8]:
    """Read a picture file, and prepare it; with `as_it_is` it must have 28 by 28 pixels, light on dark.

    Raises
    ------
    InputError
        If the file is missing, is no picture, or has too low a contrast to show a digit.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            if (size := math.prod(image.size)) > MOST_PIXELS:
                raise ValueError(f"has {size:,} pixels, at most {MOST_PIXELS:,} are read")
            upright = ImageOps.exif_transpose(image)  # a phone stores the camera's orientation, and does not rotate
            if upright.mode.startswith("I;16"):  # Pillow would clip the 16 bits of a scanner at 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            elif upright.mode in ("I", "F"):
                raise ValueError("has 32 bits a pixel, and an unknown range: save it with 8 or 16 bits")
            flat = Image.new("RGBA", upright.size, "white")
            flat.alpha_composite(upright.convert("RGBA"))
            pixels = np.asarray(flat.convert("L"))
        if not as_it_is:
            return as_digit(pixels)
        if pixels.shape != (SIDE, SIDE):
            raise ValueError(f"has {pixels.shape[1]} x {pixels.shape[0]} pixels, not {SIDE} x {SIDE}")
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        raise InputError(f"argument IMAGES: {printable(path)}: must be a picture in {known}") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"argument IMAGES: {printable(path)}: {reason}") from error
    return pixels


def probabilities(run: str, digits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the probability of each class by the run's network; shape (digits, classes).

    Parameters
    ----------
    run : str
        A run's folder with its ``best.keras``.
    digits : numpy.ndarray
        Grey levels 0 to 255; shape (digits, 28, 28).

    Raises
    ------
    InputError
        If the network is missing or damaged, takes inputs of another size, or has no outputs of classes.
    """
    from deap_nn.models.checks import layer_for_bytes
    from deap_nn.models.outputs import is_logits
    from deap_nn.models.reference import load_model
    from deap_nn.models.tensorflow import keras

    data = read_config(run, "RUN").get("data")
    path = Path(run, "best.keras")
    if not is_plain(path):
        raise InputError(f"argument RUN: {run} has no best.keras yet, or a link in its place")
    try:
        model = load_model(path)
    except ValueError as error:
        raise InputError(f"argument RUN: {error}") from error
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else model.input_shape
    if not isinstance(shape, tuple) or np.prod([side or 0 for side in shape]) != SIDE * SIDE:
        raise InputError(f"argument RUN: its network takes inputs of {shape}, not pictures of {SIDE} x {SIDE}")
    pixels = digits.reshape(-1, *shape).astype(np.float32)
    if (
        not isinstance(data, dict) or "path" in data or layer_for_bytes(model) is None
    ):  # of a KerasProblem, the model itself may scale bytes
        pixels /= 255.0
    outputs = keras.tree.flatten(model(pixels, training=False))
    if len(outputs) != 1 or outputs[0].ndim != 2:
        raise InputError(f"argument RUN: its network outputs {_shapes(outputs)}, not classes")
    values = np.asarray(outputs[0], np.float64)
    logits = is_logits(model, output=values)
    if values.shape[1] == 1:  # a single output is that of the second of two classes
        second = expit(values) if logits else values
        return np.hstack([1 - second, second])
    found: NDArray[np.float64] = softmax(values, axis=1) if logits else values
    return found


def _shapes(outputs: Sequence[Any]) -> str:
    return " and ".join(f"an array of shape {tuple(output.shape[1:])}" for output in outputs)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser(
        "Classify pictures of digits by the network of a run.",
        "deap-nn predict runs/first three.png",
        "deap-nn predict runs/first --as-it-is digits/*.png",
    )
    parser.groups["run"].add_argument("run", metavar="RUN", help="folder of the run")
    add = parser.groups["data"].add_argument
    add("images", metavar="IMAGES", nargs="+", help="picture files, each of one digit")
    raw = "keep 28 x 28 pixels, light on dark [scale and centre as MNIST]"
    add("--as-it-is", action="store_true", help=raw)
    return parser.parse_args()


def main() -> int:
    """Print a line for each picture, and return the exit status."""
    keras_extras.leave_out()
    options = parse_arguments()
    digits = np.stack([read_picture(path, as_it_is=options.as_it_is) for path in options.images])
    for path, row in zip(options.images, probabilities(options.run, digits), strict=True):
        first, second = np.argsort(row)[::-1][:2]
        print(f"{printable(path)}: {first} ({row[first]:.1%}; {second}: {row[second]:.1%})")
    return 0


if __name__ == "__main__":
    run_command(main)
