"""Initialisation of genomes, in the form of DEAP's ``init...`` functions."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from deap_nn.core.arguments import check_bounds, check_generator, check_probability
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.noise import NoiseTable, disjoint_slices
from deap_nn.genome.vectors import GAINS, Layout, Matrix, Vector, empty_vector, last_part
from deap_nn.operators.adaptation import check_sigma
from deap_nn.operators.mutation import matrix_factors

Individual = TypeVar("Individual")
Container = Callable[[list[Matrix]], Individual]
"""Makes an individual of a list of matrices: a class such as ``creator.Individual``."""


Bounds = tuple[float, float]
"""The smallest and the largest weight."""


def _check(container: object, layout: object, rng: np.random.Generator, sigma: float = 0.0) -> None:
    check_generator(rng)
    if not callable(container):
        raise TypeError(f"container must be a class or another callable, got {container!r}")
    if not isinstance(layout, Layout):
        raise TypeError(f"layout must be a Layout, got {type(layout).__name__}")
    check_sigma(sigma, "sigma")


def _drawn(layout: Layout, noise: Vector | NoiseTable | None, rng: np.random.Generator) -> tuple[Vector, float]:
    """Return normal numbers, and the factor that makes them standard normal."""
    flat = empty_vector(layout.size)
    if noise is None:
        rng.standard_normal(dtype=np.float32, out=flat)
        return flat, 1.0
    # The sum of two independent normal numbers has twice the variance of each.
    np.add(*disjoint_slices(noise, layout.size, rng), out=flat)
    return flat, 0.5**0.5


def _made(container: Container[Individual], matrices: Sequence[Matrix], bounds: Bounds | None) -> Individual:
    """Clip the weights to the bounds, if there are any, and return the container's individual."""
    if bounds is not None:
        low, high = check_bounds(bounds)
        for matrix in matrices:
            np.clip(matrix, low, high, out=matrix)
    return container(list(matrices))


def initNormal(
    container: Container[Individual],
    layout: Layout,
    *,
    sigma: float = 1.0,
    noise: Vector | NoiseTable | None = None,
    bounds: Bounds | None = None,
    rng: np.random.Generator,
) -> Individual:
    """Draw every weight from a normal distribution around zero.

    Parameters
    ----------
    container : callable
        Makes an individual of a list of float32 matrices, as ``creator.Individual`` does.
    layout : Layout
        The matrices to draw.
    sigma : float
        The standard deviation, at least 0; 1 is the article's.
    noise : numpy.ndarray or NoiseTable, optional
        Standard normal numbers, shape (n,), float32, at least two for each weight. Each individual is the scaled sum of
        two slices of them, which has the same distribution as new numbers at a fifth of the cost. Default: new numbers.
    bounds : (float, float), optional
        The smallest and the largest weight; weights are clipped to them.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    Individual
        The result of `container`.

    Raises
    ------
    ValueError
        If `sigma` is negative or not finite, `noise` is not a float32 vector or too short, or `bounds` are not two
        numbers, the smaller one first.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    The initialisation of "My experiments in replacing deep learning backpropagation (SGD) with a genetic algorithm",
    Towards Data Science.

    Examples
    --------
    >>> from deap_nn import Layout, WeightList
    >>> initNormal(WeightList, Layout(("kernel",), ((2, 3),)), rng=np.random.default_rng(1)).shapes
    ((2, 3),)
    """
    _check(container, layout, rng, sigma)
    flat, unit = _drawn(layout, noise, rng)
    flat *= np.float32(sigma * unit)
    return _made(container, layout.views(flat), bounds)


def fan_in_scales(layout: Layout) -> tuple[float, ...]:
    r"""Return the initial standard deviation :math:`\sqrt{2/n}` of each matrix with a fan-in of `n`.

    A vector holds the biases of the matrix before it and takes the same value, or 1 if it comes first: used as the
    scales of a mutation, the values change both in proportion. ``layout.vectors`` marks the vectors, also those of two
    or more dimensions in Keras' GRU and attention layers.

    Examples
    --------
    >>> fan_in_scales(Layout(("kernel", "bias"), ((50, 10), (10,))))
    (0.2, 0.2)
    """
    scales: list[float] = []
    for is_vector, fan_in in zip(layout.vectors, layout.fan_ins, strict=True):
        before = scales[-1] if scales else 1.0
        scales.append(before if is_vector else float(np.sqrt(2.0 / fan_in)))
    return tuple(scales)


def widest_scales(layout: Layout) -> tuple[float, ...]:
    r"""Return, for each matrix, the initial standard deviation of the one with the largest fan-in.

    As the scales of a mutation they give all weights the same noise, in proportion to the first weights of that matrix.

    Examples
    --------
    >>> widest_scales(Layout(("kernel", "bias", "output"), ((50, 10), (10,), (10, 2))))
    (0.2, 0.2, 0.2)
    """
    kernels = (scale for is_vector, scale in zip(layout.vectors, fan_in_scales(layout), strict=True) if not is_vector)
    return (min(kernels, default=1.0),) * len(layout)


def fixed_scales(layout: Layout) -> tuple[float, ...]:
    r"""Return 1/16 for each matrix: the initial standard deviation of one with a fan-in of 512, followed by a ReLU.

    Examples
    --------
    >>> fixed_scales(Layout(("kernel", "bias"), ((50, 10), (10,))))
    (0.0625, 0.0625)
    """
    return (0.0625,) * len(layout)


SCALES = {"fan_in": fan_in_scales, "widest": widest_scales, "fixed": fixed_scales}
"""The scales of a mutation that follow from the layout, by the names that `make_toolbox` takes."""


def initScaled(
    container: Container[Individual],
    layout: Layout,
    *,
    noise: Vector | NoiseTable | None = None,
    bounds: Bounds | None = None,
    spread: float = 1.0,
    rng: np.random.Generator,
) -> Individual:
    r"""Draw every matrix with a variance of 2 / fan-in, and set biases to 0 and gains to 1.

    ``layout.vectors`` marks the vectors. One with a name that ends in ``gamma`` or ``scale`` holds the gains of a
    normalisation; any other holds biases.

    With a `spread` :math:`s` below 1 the individuals are related: each is :math:`\sqrt{1 - s^2}\,c + s\,z`, with one
    network `c` for all and its own numbers `z`, both drawn as above. Then crossover combines parts that fit together.

    It returns and raises as `initNormal` does, and raises ValueError if `spread` is not from 0 to 1, or is below 1
    without `noise`, from which `c` is drawn.

    Parameters
    ----------
    layout : Layout
        The matrices to draw; ``layout.fan_ins`` scales them.
    spread : float
        The share of the standard deviation that is an individual's own, 0 to 1: 1 for unrelated individuals.
    container, noise, bounds, rng
        As `initNormal` takes them.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.

    Examples
    --------
    >>> from deap_nn import Layout, WeightList
    >>> layout = Layout(("kernel", "bias"), ((200, 50), (50,)))
    >>> kernel, bias = initScaled(WeightList, layout, rng=np.random.default_rng(1))
    >>> round(float(kernel.std()), 2), float(bias.std())
    (0.1, 0.0)
    """
    _check(container, layout, rng)
    check_probability(spread, "spread")
    flat, unit = _drawn(layout, noise, rng)
    if spread < 1:
        if noise is None:
            raise ValueError(f"spread needs noise, from which the common network is drawn, got {spread!r}")
        flat *= np.float32(spread)
        common = np.add(*disjoint_slices(noise, layout.size, stream(0, Purpose.OPERATORS, 0, 4)))
        common *= np.float32((1 - spread**2) ** 0.5)
        flat += common
    matrices = layout.views(flat)
    for name, is_vector, scale, matrix in zip(
        layout.names, layout.vectors, fan_in_scales(layout), matrices, strict=True
    ):
        if is_vector:
            matrix[...] = 1.0 if last_part(name).endswith(GAINS) else 0.0
        else:
            matrix *= np.float32(scale * unit)
    return _made(container, matrices, bounds)


def initAround(
    container: Container[Individual],
    layout: Layout,
    *,
    weights: Sequence[ArrayLike],
    sigma: float,
    scale: Sequence[float] | None = None,
    noise: Vector | NoiseTable | None = None,
    bounds: Bounds | None = None,
    place: int | None = None,
    rng: np.random.Generator,
) -> Individual:
    """Draw every weight from a normal distribution around a given one.

    It returns and raises as `initNormal` does, and raises ValueError for `weights` of other shapes than the layout's,
    and for a `scale` of another length or with a number below 0.

    Parameters
    ----------
    layout : Layout
        The matrices.
    weights : sequence of array_like
        The given weights, a matrix for each of the layout's.
    sigma : float
        The standard deviation for a matrix with a scale of 1, at least 0.
    scale : sequence of float, optional
        The scale of each matrix; the one that `initScaled` gives it if left out.
    place : int, optional
        The individual's number in the population; number 0 gets the given weights without noise.
    container, noise, bounds, rng
        As `initNormal` takes them.

    References
    ----------
    F. P. Such et al., "Deep neuroevolution: genetic algorithms are a competitive alternative for training deep neural
    networks for reinforcement learning", arXiv:1712.06567, 2017, which mutates from such a start.

    Examples
    --------
    >>> from deap_nn import Layout, WeightList
    >>> layout = Layout(("kernel",), ((1, 2),))
    >>> initAround(WeightList, layout, weights=[[[1, 2]]], sigma=0, rng=np.random.default_rng(1))[0].tolist()
    [[1.0, 2.0]]
    """
    _check(container, layout, rng, sigma)
    shapes = tuple(np.shape(matrix) for matrix in weights)
    if shapes != layout.shapes:
        raise ValueError(f"weights must have the shapes {layout.shapes}, got {shapes}")
    scales = fan_in_scales(layout) if scale is None else scale
    matrix_factors(sigma, scales, len(layout))  # checks them
    if place == 0:
        return _made(container, [np.array(matrix, dtype=np.float32) for matrix in weights], bounds)
    flat, unit = _drawn(layout, noise, rng)
    matrices = layout.views(flat)
    for factor, matrix, given in zip(scales, matrices, weights, strict=True):
        matrix *= np.float32(sigma * factor * unit)
        matrix += np.asarray(given, dtype=np.float32)
    return _made(container, matrices, bounds)
