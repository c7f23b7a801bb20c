"""What scoring costs above the raw operations: Keras' ``stateless_call``, biases that fuse, centred layers, bfloat16.

Run it with ``python benchmarks/evaluation.py``: a batch of 64 digits through the CNN, over changing genomes, in one
thread.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from common import has_bfloat16, run

from deap_nn import GA, KerasProblem, load_dataset, make_toolbox
from deap_nn.models.built_in import build_model
from deap_nn.models.tensorflow import tf
from deap_nn.problems.scorer import scorer

GENOMES = 20
TIMES = 100


def raw(biased: Callable[[object, object], object]) -> Callable[..., object]:
    """Return the CNN written with TensorFlow's operations."""

    def network(weights, digits, labels):
        w1, b1, w2, b2, w3, b3, w4, b4 = weights
        h = tf.cast(digits, tf.float32) / 255.0
        h = tf.nn.max_pool2d(tf.nn.relu(biased(tf.nn.conv2d(h, w1, 1, "SAME"), b1)), 2, 2, "SAME")
        h = tf.nn.max_pool2d(tf.nn.relu(biased(tf.nn.conv2d(h, w2, 1, "SAME"), b2)), 2, 2, "SAME")
        h = tf.nn.relu(biased(tf.reshape(h, (-1, 3136)) @ w3, b3))
        outputs = biased(h @ w4, b4)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))

    return tf.function(network, autograph=False)


def part_of(name: str) -> tuple[object, object]:
    """Return the training digits of a data set, as a Keras model takes them, and their labels."""
    x, y = load_dataset(name).part("train")
    return x.reshape(-1, 28, 28, 1).astype("float32") / 255.0, y


def measure(folder: Path) -> dict[str, float]:
    """Measure all in turn, once."""
    toolbox = make_toolbox("mnist_deep", "mnist5k", GA(centred=False), seed=1)
    genomes = [toolbox.individual() for _ in range(GENOMES)]
    scoring = scorer(toolbox.problem)
    (digits,), (labels,) = scoring._minibatch(1)
    labels = tf.cast(labels, tf.int32)
    fused, apart = raw(tf.nn.bias_add), raw(lambda x, b: x + b)
    ways: dict[str, Callable[[object], object]] = {
        "Scorer.fitness": lambda genome: scoring.fitness(genome, 1),
        "TensorFlow's operations, bias_add": lambda genome: fused(scoring.weights(genome), digits, labels).numpy(),
        "TensorFlow's operations, + bias": lambda genome: apart(scoring.weights(genome), digits, labels).numpy(),
    }
    problem = KerasProblem(build_model("mnist_deep"), *part_of("mnist5k"))
    general = scorer(make_toolbox(problem, seed=1).problem)
    ways["KerasProblem"] = lambda genome: general.fitness(genome, 1)
    centred = scorer(make_toolbox("mnist_deep", "mnist5k", GA(centred=True), seed=1).problem)
    ways["Scorer.fitness, centred"] = lambda genome: centred.fitness(genome, 1)
    if has_bfloat16():
        quick = scorer(make_toolbox("mnist_deep", "mnist5k", GA(centred=False), seed=1, precision="bfloat16").problem)
        ways["Scorer.fitness, bfloat16"] = lambda genome: quick.fitness(genome, 1)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(-GENOMES, TIMES):
        for place, (name, score) in enumerate(ways.items()):
            genome = genomes[(i + place * GENOMES // len(ways)) % GENOMES]  # one that no other has just read
            begun = time.perf_counter()
            score(genome)
            if i >= 0:
                times[name].append(1e3 * (time.perf_counter() - begun))
    rows = {name: statistics.median(values) for name, values in times.items()}
    for name in ("Scorer.fitness", "KerasProblem"):
        rows[f"{name} over the raw operations"] = rows[name] / rows["TensorFlow's operations, bias_add"]
    rows["Scorer.fitness, centred over not centred"] = rows["Scorer.fitness, centred"] / rows["Scorer.fitness"]
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a forward pass of the CNN, one process")
