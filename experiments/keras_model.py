"""README's Keras model: trained by the genetic algorithm in one call, and by Keras' Adam beside it."""

from __future__ import annotations

import numpy as np

from deap_nn import evolve_model
from deap_nn.models.tensorflow import keras
from deap_nn.process.cli import Parser, integer, run_command

x = np.random.default_rng(1).standard_normal((1000, 4)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype(int)
TRAINING = 800  # the rest is for validation


def network() -> keras.Model:
    """Return the network of the example: 58 weights."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(2)])


def accuracy(model: keras.Model) -> float:
    """Return the share of the validation samples that a model classifies rightly."""
    predictions = keras.ops.convert_to_numpy(model(x[TRAINING:])).argmax(axis=1)
    return float(np.mean(predictions == y[TRAINING:]))


def evolved(seed: int, generations: int) -> float:
    """Return the accuracy of the network that the genetic algorithm ends with."""
    result = evolve_model(network(), x, y, population=100, generations=generations, batch_size=200, seed=seed)
    return accuracy(result.model)


def by_adam(seed: int, epochs: int) -> float:
    """Return the accuracy of the network after some epochs of Adam with its usual rate of 0.001."""
    keras.utils.set_random_seed(seed)
    model = network()
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:TRAINING], y[:TRAINING], batch_size=64, epochs=epochs, verbose=0)
    return accuracy(model)


def main() -> int:
    """Train the network in both ways, and print both accuracies for each seed."""
    parser = Parser("Train a small Keras model by the genetic algorithm and by Adam.")
    parser.add_argument("--seeds", type=integer(1), default=3, metavar="N", help="number of seeds, from 1")
    parser.add_argument("--generations", type=integer(1), default=200, metavar="N", help="generations of 100 networks")
    parser.add_argument("--epochs", type=integer(1), default=200, metavar="N", help="epochs of Adam, 13 gradients each")
    options = parser.parse_args()
    for seed in range(1, options.seeds + 1):
        found = f"ga {evolved(seed, options.generations):.3f}, Adam {by_adam(seed, options.epochs):.3f}"
        print(f"seed {seed}: accuracy on validation samples: {found}", flush=True)
    return 0


if __name__ == "__main__":
    run_command(main)
