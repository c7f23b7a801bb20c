"""A network without a gradient, of weights that are -1 or 1 and units that are on or off, learns to read digits.

Run it with plain ``python experiments/binary_weights.py`` or under ``python -m scoop``.
"""

import numpy as np
from deap import base
from gallery import gallery_parser
from threadpoolctl import ThreadpoolController

from deap_nn import (
    Annealed,
    Callback,
    Evaluation,
    Evolution,
    Individual,
    Layout,
    NoiseTable,
    WeightList,
    evolve,
    initNormal,
    initPopulation,
    load_dataset,
    mutGaussianAdaptive,
    recombination_weights,
    usual_step,
)
from deap_nn.maps import Map, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process import signals
from deap_nn.process.cli import run_command

prepare_worker()

BLAS = ThreadpoolController()  # mlxtend brings it: matrices as small as these are multiplied faster by one thread
SIDE, UNITS, BATCH = 14, 36, 250
LAYOUT = Layout(("hidden", "threshold", "output"), ((SIDE * SIDE, UNITS), (UNITS,), (UNITS, 10)))


def dots(images: np.ndarray) -> np.ndarray:
    """Return digits of 14 x 14 dots that are black or white; shape (images, 196), float32."""
    means = images.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4))
    return (means > 64).reshape(-1, SIDE * SIDE).astype(np.float32)


digits = load_dataset("mnist5k")
TRAINING = dots(digits.x_train), digits.y_train
TEST = dots(digits.x_test), digits.y_test


def binary(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, thresholds and weights of genomes, shape (networks, weights): the signs are all that counts."""
    parts = np.split(genomes, np.cumsum(LAYOUT.sizes)[:-1], axis=1)
    hidden, threshold, output = (part.reshape(-1, *shape) for part, shape in zip(parts, LAYOUT.shapes, strict=True))
    one = np.float32(1)
    return np.where(hidden > 0, one, -one), np.round(SIDE * threshold), np.where(output > 0, one, -one)


def error_rates(genomes: np.ndarray, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the share of samples that each network misclassifies; a tie of n classes counts as 1 - 1/n or 1."""
    hidden, threshold, output = binary(genomes)
    with BLAS.limit(limits=1, user_api="blas"):
        on = (inputs @ hidden > threshold[:, None]).astype(np.float32)
        votes = on @ output
    winners = votes == votes.max(axis=2, keepdims=True)
    right = winners[:, np.arange(len(labels)), labels] / winners.sum(axis=2)
    return 1 - right.mean(axis=1)


class ErrorRate(Evaluation):
    """The error rate on a mini-batch of the generation, which the toolbox's clock sets."""

    scores_groups = True
    generation = 0

    def __call__(self, individual: WeightList) -> tuple[float]:
        """Return the error rate of one network."""
        return self.many(individual.flat[None])[0]

    def many(self, genomes: np.ndarray) -> list[tuple[float]]:
        """Return the error rate of each network; genomes has the shape (networks, weights)."""
        start = self.generation * BATCH % len(TRAINING[1])
        inputs, labels = (part[start : start + BATCH] for part in TRAINING)
        return [(float(rate),) for rate in error_rates(genomes, inputs, labels)]


class Watch(Callback):
    """Score the mean of the parents, which learns more steadily than any member, on test digits now and then."""

    def __init__(self) -> None:
        self.generations: list[int] = []
        self.errors: list[float] = []

    def on_generation(self, evolution: Evolution) -> None:
        """Score it every tenth generation, and at the end."""
        if evolution.generation % 10 == 0 or evolution.last:
            self.network = evolution.mean(evolution.fittest or evolution.population[:1])
            self.generations.append(evolution.generation)
            self.errors.append(float(error_rates(self.network.flat[None], *TEST)[0]))


def make_toolbox(population: int, generations: int, seed: int, map_: Map = map) -> base.Toolbox:
    """Wire genome, operators and fitness: children lie around one centre, which moves to the mean of the better."""
    toolbox = base.Toolbox()
    noise = NoiseTable(seed, LAYOUT.size)
    toolbox.step = usual_step(population, generations, 2) / 4
    toolbox.register("individual", initNormal, Individual, LAYOUT, sigma=0.3, noise=noise)
    toolbox.register("population", initPopulation, toolbox, seed)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=Annealed(0.3, 0.1, generations), noise=noise)
    toolbox.register("recombination_weights", recombination_weights)
    toolbox.register("evaluate", ErrorRate())
    toolbox.register("map", map_)
    return toolbox


def main() -> int:
    """Evolve the network, and draw its error and the weights of its hidden units."""
    options = gallery_parser(
        "Evolve a network of binary weights and step activations that reads digits.", 500, 100, seeded=True
    ).parse_args()
    watch = Watch()
    with signals.interruptible(), chosen_map(options) as map_:
        toolbox = make_toolbox(options.population, options.generations, options.seed, map_)
        population = toolbox.population(n=options.population)
        _, logbook = evolve(population, toolbox, options.generations, seed=options.seed, callbacks=[watch])
    print(f"test error {watch.errors[0]:.3f} at first, {watch.errors[-1]:.3f} after {options.generations} generations")
    if options.output:
        from figures import Panel, draw_images

        panel = Panel("generation", "error rate", zero=True)
        panel.lines = {
            "average, mini-batch": logbook.select("gen", "avg"),
            "mean of the parents, test digits": (watch.generations, watch.errors),
        }
        hidden, _, output = binary(watch.network.flat[None])
        images = (hidden[0] @ output[0]).T.reshape(-1, SIDE, SIDE)
        title = "paths from each dot to each digit: white for it, black against it"
        draw_images(panel, images, options.output, title=title, names=list(map(str, range(10))))
    return 0


if __name__ == "__main__":
    run_command(main)
