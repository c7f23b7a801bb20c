"""PyGAD with kerasga: uniform crossover, and a mutation of ours, since PyGAD's own visit gene by gene in Python."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import time

import common
import keras
import numpy as np
import pygad
import pygad.kerasga

OPTIONS = common.arguments()
X, Y = common.digits()


def cnn():
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dense(10),
        ]
    )


def mutate(offspring, ga):
    """Add noise to all children."""
    offspring += common.SIGMA * np.random.default_rng().standard_normal(offspring.shape, dtype=np.float32)
    return offspring


def main():
    model = cnn()

    def fitness(ga, solution, index):
        outputs = pygad.kerasga.predict(model=model, solution=solution, data=X)
        return float(np.mean(outputs.argmax(axis=1) == Y))

    ends = []
    rng = np.random.default_rng(1)
    population = np.empty((OPTIONS.members, model.count_params()), np.float32)
    for row in population:
        row[:] = np.concatenate([matrix.ravel() for matrix in common.start(common.CNN, rng)])
    ga = pygad.GA(
        num_generations=OPTIONS.generations + 1,
        num_parents_mating=max(2, int(common.PARENTS * OPTIONS.members)),
        initial_population=population,
        gene_type=np.float32,
        fitness_func=fitness,
        crossover_type="uniform",
        mutation_type=mutate,
        keep_elitism=0,
        keep_parents=0,
        on_generation=lambda ga: ends.append(time.perf_counter()),
        suppress_warnings=True,
    )
    ga.run()
    common.report(OPTIONS, np.diff(ends).tolist(), ("pygad", "keras", "tensorflow", "numpy"))


if __name__ == "__main__":
    main()
