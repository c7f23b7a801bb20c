"""The methods of ``experiments/baselines.py``: gradient descent, OpenAI's evolution strategy, random search, CMA-ES.

References
----------
D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
R. Ros and N. Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", PPSN X, 2008.
T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, "Evolution strategies as a scalable alternative to reinforcement
learning", arXiv:1703.03864, 2017.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from deap.base import Toolbox
from numpy.typing import NDArray
from scipy.stats import rankdata

from deap_nn import Evaluation
from deap_nn.breeding.breeder import founder
from deap_nn.core.environment import optional
from deap_nn.data.loading import find_dataset
from deap_nn.genome.vectors import empty_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.mutation import matrix_factors
from deap_nn.process.workers import worker_count


class Method(Protocol):
    """A way to train: it has one network, and does a step on the mini-batch of a generation."""

    network: WeightList

    def step(self, generation: int) -> Sequence[float]:
        """Do a step, and return the fitness of each network that it scored."""


class Backpropagation:
    """Gradient descent with one of Keras' optimizers, through centred layers if the problem has them.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem.
    network : WeightList
        Where to begin.
    optimizer : keras.optimizers.Optimizer
        What turns a gradient into a step.
    """

    def __init__(self, toolbox: Toolbox, network: WeightList, optimizer: Any) -> None:
        from deap_nn.data.minibatches import Strata
        from deap_nn.models.layers import centred
        from deap_nn.models.reference import assign_weights, new_model
        from deap_nn.models.tensorflow import keras

        self._network = network
        self._toolbox = toolbox
        model = new_model(toolbox.problem.model)
        self._model = centred(model) if toolbox.problem.centred else model
        assign_weights(self._model, network)
        labels = find_dataset(toolbox.problem.data).part("train")[1]
        self._strata = Strata.of(labels) if toolbox.problem.stratified else None
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # as the built-in models answer
        self._model.compile(optimizer=optimizer, loss=loss)

    @property
    def network(self) -> WeightList:
        """The network as it is now."""
        for matrix, variable in zip(self._network, self._model.trainable_variables, strict=True):
            matrix[...] = variable.numpy()
        return self._network

    def step(self, generation: int) -> Sequence[float]:
        """Descend along the gradient, and return the cross-entropy before that."""
        from deap_nn.core.errors import WORST
        from deap_nn.data.minibatches import batch_indices

        problem = self._toolbox.problem
        x, y = find_dataset(problem.data).part("train")
        chosen = batch_indices(problem.seed, generation, problem.batch_size, len(x), self._strata)
        samples = x[chosen].reshape(len(chosen), *self._model.input_shape[1:]).astype(np.float32)
        if x.dtype == np.uint8:
            samples /= 255.0
        loss = float(self._model.train_on_batch(samples, y[chosen]))
        return [loss if math.isfinite(loss) else WORST]


class Around:
    """Gaussian noise around a centre, by place: each noise vector has two places, and is negated at the second one.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``mutate``, whose table of noise is used, and its scale of each matrix.
    seed, generation : int
        With the place they decide the noise.
    sigma : float
        Its standard deviation, where a matrix has no scale.
    """

    def __init__(self, toolbox: Toolbox, seed: int, generation: int, sigma: float) -> None:
        keywords = toolbox.mutate.keywords
        self._noise, self._shapes = keywords["noise"], toolbox.layout.shapes
        self._factors = np.array(matrix_factors(sigma, keywords["scale"], len(toolbox.layout)), np.float32)
        self._key = {"seed": seed, "generation": generation}

    def write(self, outs: Sequence[Any], centre: Any, places: Sequence[int]) -> None:
        """Write the networks at one or two places, as flat vectors."""
        from deap_nn.operators.compiled.centre import mutate_around

        for out, place in zip(outs, places, strict=True):
            factors = -self._factors if place % 2 else self._factors
            mutate_around([out], centre, self._noise.array(), factors, self._shapes, **self._key, places=[place // 2])

    def sum(self, weights: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the weighted sum of the noise vectors, in their order; shape (size,)."""
        size, counts = sum(map(np.prod, self._shapes)), np.abs(weights)
        total, centre, child = np.zeros(size), np.zeros(size, np.float32), empty_vector(size)
        if counts.any():
            for place, weight in enumerate(weights):
                self.write([child], centre, [2 * place])
                total += np.multiply(child, weight, dtype=np.float64)
            total = total / math.fsum(counts) * float(counts.sum())  # by way of the mean: it decides the last bits
        return total.astype(np.float32)


class ScoreAround(Evaluation):
    """A task of a map: score networks around a centre.

    Parameters
    ----------
    evaluate : callable
        The toolbox's, moved on to the generation.
    around : Around
        Their noise.
    mirrored : bool
        Whether each noise vector makes two networks, or one.
    """

    may_be_done_twice = True

    def __init__(self, evaluate: Callable[[WeightList], tuple[float]], around: Around, mirrored: bool) -> None:
        self.evaluate = evaluate
        self.around = around
        self.mirrored = mirrored

    def __call__(self, centre: Any) -> list[float]:
        """Return the fitness of the networks of the noise vectors ``centre.vectors``."""
        count = 2 if self.mirrored else 1
        members = [type(centre).from_flat(empty_vector(centre.flat.size), centre.shapes) for _ in range(count)]
        found = []
        for vector in range(*centre.vectors):
            self.around.write([member.flat for member in members], centre.flat, range(2 * vector, 2 * vector + count))
            found += [self.evaluate(member)[0] for member in members]
        return found


class OpenAIES:
    """The evolution strategy of Salimans and others: Gaussian noise, centred ranks, Adam.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem.
    network : WeightList
        Where to begin.
    optimizer : keras.optimizers.Optimizer
        What turns the estimate of the gradient into a step.
    population : int
        Networks scored a generation, even.
    sigma : float
        The standard deviation of the noise.
    mirrored : bool
        Whether each noise vector makes two networks, on opposite sides of the centre; `population` is then even.
    falling : tuple of (float, float, int)
        The factors of sigma and of the learning rate at the end, and the number of generations until then. Both fall
        geometrically.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        network: WeightList,
        optimizer: Any,
        population: int,
        sigma: float,
        *,
        mirrored: bool = True,
        falling: tuple[float, float, int] = (1.0, 1.0, 1),
    ) -> None:
        from deap_nn.models.tensorflow import keras

        self.network = network
        self._mirrored, self._falling, self._rate = mirrored, falling, float(optimizer.learning_rate)
        self._toolbox = toolbox
        self._optimizer = optimizer
        self._population = population
        self._sigma = sigma
        self._variable = keras.Variable(network.flat)

    def step(self, generation: int) -> Sequence[float]:
        """Score the population, go down, and return the fitness of each."""
        toolbox, workers = self._toolbox, worker_count(self._toolbox.map)
        passed = min(1.0, generation / self._falling[2])
        sigma = self._sigma * self._falling[0] ** passed
        self._optimizer.learning_rate = self._rate * self._falling[1] ** passed
        around = Around(toolbox, toolbox.problem.seed, generation, sigma)
        vectors = self._population // 2 if self._mirrored else self._population
        ends = np.linspace(0, vectors, min(8 * workers, vectors) + 1).astype(int)
        tasks = []
        for start, stop in itertools.pairwise(ends):
            tasks.append(type(self.network).from_flat(self.network.flat, self.network.shapes))
            tasks[-1].vectors = int(start), int(stop)
        score = ScoreAround(toolbox.evaluate.func, around, self._mirrored)
        scores = [score for some in toolbox.map(score, tasks) for score in some]
        ranks = centred_ranks(scores)
        weights = ranks[::2] - ranks[1::2] if self._mirrored else ranks
        gradient = around.sum(weights) / (self._population * sigma**2)
        self._optimizer.apply([gradient], [self._variable])
        self.network.flat[:] = self._variable.numpy()
        return scores


def centred_ranks(scores: Sequence[float]) -> NDArray[np.float64]:
    """Return the ranks of two or more, from -1/2 (lowest) to 1/2 (highest); those of equals are their mean."""
    ranks: NDArray[np.float64] = rankdata(scores)
    return (ranks - 1) / (len(scores) - 1) - 0.5


class ScoreFounder(Evaluation):
    """A task of a map: score the network that a place has at random."""

    may_be_done_twice = True

    def __init__(self, evaluate: Callable[[WeightList], tuple[float]], individual: Any, seed: int) -> None:
        self.evaluate = evaluate
        self.individual = individual
        self.seed = seed

    def __call__(self, place: int) -> float:
        """Return its fitness."""
        return self.evaluate(founder(self.individual, self.seed, place))[0]


class RandomSearch:
    """Each generation draws networks at random, and keeps the best of them and of the one that it has.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem; ``individual`` draws.
    network : WeightList
        Where to begin.
    population : int
        Networks scored a generation, with the one that it has.
    """

    def __init__(self, toolbox: Toolbox, network: WeightList, population: int) -> None:
        self.network = network
        self._toolbox = toolbox
        self._population = population

    def step(self, generation: int) -> Sequence[float]:
        """Score what is drawn, keep the best, and return the fitness of each."""
        toolbox = self._toolbox
        draw = ScoreFounder(toolbox.evaluate.func, toolbox.individual, toolbox.problem.seed)
        first = generation * self._population
        places = range(first + 1, first + self._population)
        scores = [toolbox.evaluate(self.network)[0], *toolbox.map(draw, places)]
        best = int(np.argmin(scores))
        if best:
            self.network = founder(draw.individual, draw.seed, first + best)
        return scores


class CMAES:
    """CMA-ES of the package ``cma``, with a diagonal covariance matrix; its network is the mean of its distribution.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Of the problem, with ``mutate``, whose scale of each matrix is that of sigma.
    network : WeightList
        Where to begin.
    population : int
        Networks scored a generation.
    sigma : float
        The first standard deviation, where a matrix has no scale.
    """

    def __init__(self, toolbox: Toolbox, network: WeightList, population: int, sigma: float) -> None:
        with optional("dev"):
            import cma

        self.network, self._toolbox = network, toolbox
        factors = matrix_factors(sigma, toolbox.mutate.keywords["scale"], len(network))
        options = {"CMA_stds": np.repeat(factors, [matrix.size for matrix in network]), "CMA_diagonal": True}
        options |= {"popsize": population, "seed": math.nan, "verbose": -9}  # the seed is that of NumPy's generator
        self._strategy = cma.CMAEvolutionStrategy(network.flat, 1.0, options)

    def step(self, generation: int) -> Sequence[float]:
        """Score the population, move its distribution, and return the fitness of each."""
        drawn, network = self._strategy.ask(), self.network
        members = [type(network).from_flat(vector.astype(np.float32), network.shapes) for vector in drawn]
        scores = [fitness for (fitness,) in self._toolbox.map(self._toolbox.evaluate, members)]
        self._strategy.tell(drawn, scores)
        network.flat[:] = self._strategy.mean
        return scores
