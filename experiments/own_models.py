"""Small models of one's own with steps by cases and without: the losses on validation samples; needs scikit-learn."""

from __future__ import annotations

from statistics import median
from typing import Any

import keras_model
import numpy as np

from deap_nn import ES, GA, evolve_model
from deap_nn.models.tensorflow import keras
from deap_nn.process.cli import Parser, integer, run_command

ALGORITHMS: dict[str, GA | ES] = {
    "GA()": GA(),
    "GA by cases": GA(centred=True, casewise=True, sigma=0.3),
    "ES()": ES(),
    "ES by cases": ES(centred=True, casewise=True),
}


def problems() -> dict[str, tuple[Any, Any, list[Any], str]]:
    """Return inputs, targets, layers and loss by name; the samples are in a random order that is always the same."""
    from sklearn.datasets import load_diabetes, load_digits

    layers, rng = keras.layers, np.random.default_rng(1)
    digits, patients = load_digits(), load_diabetes()
    pixels, order = (digits.data / 16).astype(np.float32), rng.permutation(len(digits.data))
    pixels, labels = pixels[order], digits.target[order]
    order = rng.permutation(len(patients.data))
    values, progress = (
        ((array - array.mean(axis=0)) / array.std(axis=0)).astype(np.float32)[order]
        for array in (patients.data, patients.target[:, None])
    )
    angles = rng.uniform(-3, 3, (500, 1)).astype(np.float32)
    convolution = [layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]

    def dense() -> list[Any]:
        return [layers.Dense(32, activation="relu"), layers.Dense(10)]

    def curve(inputs: int) -> list[Any]:
        return [keras.Input((inputs,)), layers.Dense(16, activation="tanh"), layers.Dense(1)]

    return {
        "README's model": (
            keras_model.x,
            keras_model.y,
            [keras.Input((4,)), *keras_model.network().layers],
            "cross_entropy",
        ),
        "digits": (pixels, labels, [keras.Input((64,)), *dense()], "cross_entropy"),
        "digits, convolution": (
            pixels.reshape(-1, 8, 8, 1),
            labels,
            [keras.Input((8, 8, 1)), *convolution, *dense()],
            "cross_entropy",
        ),
        "diabetes": (values, progress, curve(10), "mse"),
        "sine": (angles, np.sin(angles), curve(1), "mse"),
    }


def main() -> int:
    """Evolve each model by each algorithm, and print the median of the losses."""
    parser = Parser("Evolve small models with steps by cases and without.")
    parser.add_argument("--seeds", type=integer(1), default=3, metavar="N", help="number of seeds, from 1")
    parser.add_argument("--generations", type=integer(1), default=200, metavar="N", help="generations of 100 networks")
    options = parser.parse_args()
    for name, (x, y, layers, loss) in problems().items():
        for title, algorithm in ALGORITHMS.items():
            losses = [
                evolve_model(
                    keras.Sequential(layers),
                    x,
                    y,
                    algorithm,
                    loss=loss,
                    generations=options.generations,
                    batch_size=64,
                    seed=seed,
                ).validation_error
                for seed in range(1, options.seeds + 1)
            ]
            print(f"{name}, {title}: {median(losses):.4f} ({min(losses):.4f} to {max(losses):.4f})", flush=True)
    return 0


if __name__ == "__main__":
    run_command(main)
