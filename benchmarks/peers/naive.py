"""The article's way, written plainly: genomes are bred in the main process and sent to SCOOP's workers.

Run with ``python -m scoop -n 2 naive.py cnn --members N --generations G``.
"""

import os

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import random
import time

import common
import numpy as np
import tensorflow as tf
from deap import base, creator, tools
from scoop import futures

creator.create("FitnessMin", base.Fitness, weights=(-1.0,))
creator.create("Individual", list, fitness=creator.FitnessMin)

X, Y = (tf.constant(part) for part in common.digits())


@tf.function
def misread(w1, b1, w2, b2, w3, b3, w4, b4):
    """Return the share of the batch that the CNN misreads."""
    h = tf.nn.max_pool2d(tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(X, w1, 1, "SAME"), b1)), 2, 2, "SAME")
    h = tf.nn.max_pool2d(tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(h, w2, 1, "SAME"), b2)), 2, 2, "SAME")
    h = tf.nn.relu(tf.reshape(h, (-1, 3136)) @ w3 + b3)
    return tf.reduce_mean(tf.cast(tf.argmax(h @ w4 + b4, axis=1) != Y, tf.float32))


def evaluate(individual):
    return (float(misread(*map(tf.convert_to_tensor, individual))),)


def initialise():
    return creator.Individual(common.start(common.CNN, np.random.default_rng()))


def mate(one, other):
    """Cross each pair of matrices with a random 0/1 mask, as the article does."""
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        mask = np.random.randint(0, 2, size=a.shape).astype(np.float32)
        inverse = 1 - mask
        one[i], other[i] = a * mask + b * inverse, a * inverse + b * mask
    return one, other


def mutate(individual):
    """Add noise to each matrix."""
    for i, matrix in enumerate(individual):
        individual[i] = matrix + np.float32(common.SIGMA) * np.random.randn(*matrix.shape).astype(np.float32)
    return (individual,)


toolbox = base.Toolbox()
toolbox.register("population", tools.initRepeat, list, initialise)
toolbox.register("evaluate", evaluate)
toolbox.register("mate", mate)
toolbox.register("mutate", mutate)
toolbox.register("map", futures.map)


def main():
    options = common.arguments()
    population = toolbox.population(n=options.members)
    for individual, values in zip(population, toolbox.map(toolbox.evaluate, population), strict=True):
        individual.fitness.values = values
    print(f"generation 0 ends at {time.time()}", flush=True)

    def step():
        best = tools.selBest(population, max(2, int(common.PARENTS * len(population))))
        children = [toolbox.clone(random.choice(best)) for _ in population]
        for one, other in zip(children[::2], children[1::2], strict=False):
            toolbox.mate(one, other)
        for child in children:
            toolbox.mutate(child)
        for child, values in zip(children, toolbox.map(toolbox.evaluate, children), strict=True):
            child.fitness.values = values
        population[:] = children

    common.report(options, common.timed(step, options.generations), ("deap", "scoop", "tensorflow", "numpy"))


if __name__ == "__main__":
    main()
