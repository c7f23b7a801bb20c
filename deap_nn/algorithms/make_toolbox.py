"""The wiring of a DEAP toolbox that evolves the weights of a Keras model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deap import base
from numpy.typing import ArrayLike

from deap_nn.algorithms.algorithm import ALGORITHMS, ES, FEWEST, GA, Algorithm
from deap_nn.algorithms.toolbox import MadeToolbox, StrategyToolbox
from deap_nn.breeding.founders import initPopulation
from deap_nn.core.arguments import check_bounds, check_choice, check_count
from deap_nn.core.errors import warn_user
from deap_nn.core.seeding import Purpose, check_seed, stream
from deap_nn.data.dataset import Dataset
from deap_nn.genome.noise import NoiseTable
from deap_nn.genome.population import Population
from deap_nn.genome.vectors import Layout
from deap_nn.genome.weight_list import Individual, WeightList
from deap_nn.maps.scoop import current_map
from deap_nn.models.weight_files import SUFFIXES, first_weights
from deap_nn.operators.by_name import CROSSOVERS
from deap_nn.operators.initialisation import SCALES, initAround, initNormal, initScaled
from deap_nn.operators.mutation import matrix_factors, mutGaussianAdaptive
from deap_nn.operators.ranking import recombination_weights
from deap_nn.operators.selection import selRankBoosted
from deap_nn.problems.keras_problem import KerasProblem, of_keras_problem
from deap_nn.problems.problem import USUAL_BATCH_SIZE, Problem, of_labelled_data
from deap_nn.process.workers import worker_count
from deap_nn.runs.files import digest_of

if TYPE_CHECKING:
    import keras


def make_toolbox(
    model: str | keras.Model | KerasProblem,
    data: str | Path | Dataset | tuple[Any, ...] | None = None,
    algorithm: GA | ES = GA(),  # noqa: B008  (frozen)
    *,
    seed: int,
    population: int | None = None,
    generations: int | None = None,
    batch_size: int | None = None,
    validation_size: int = 1000,
    container: Callable[[Iterable[ArrayLike]], Any] = Individual,
    init: Literal["scaled", "normal"] | str | Path | keras.Model | Sequence[ArrayLike] | None = None,
    bounds: tuple[float, float] | None = None,
    threads: int = 1,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: Literal["cpu", "gpu"] = "cpu",
) -> base.Toolbox:
    """Wire a DEAP toolbox for evolving the weights of a model on labelled data.

    DEAP's own loops run on the toolbox: ``eaSimple``, ``eaMuPlusLambda`` and ``eaMuCommaLambda`` with `GA` and
    `Article`, ``eaGenerateUpdate`` with `ES`. `evolve` runs with all. Any function may be replaced by ``register``. A
    call of the function that is registered as ``select`` begins a new generation, with a new mini-batch and a new
    sigma. A loop without ``select`` calls ``toolbox.next_generation(population)``.

    Parameters
    ----------
    model : str, keras.Model or KerasProblem
        ``"mnist_deep"``, ``"lenet5"``, ``"mlp"``, or a built Keras model with logits or a softmax over classes as its
        outputs. For any other model, data or fitness, a `KerasProblem`, which holds all three.
    data : str, path, Dataset or (x, y)
        A name that ``load_dataset`` knows, a file or folder, or the data themselves; None for a `KerasProblem`. A
        tuple of inputs, targets and optionally sample weights makes a `KerasProblem` with the model, and with the loss
        of a compiled model, or else the cross-entropy.
    algorithm : GA, ES or Article
        The algorithm with its settings, such as ``GA(mates=2)``. Those of None are decided for the model
        (`GA.resolved`).
    seed : int
        The seed of all random numbers, also in `evolve`.
    population, generations : int, optional
        The number of members, at least 1, and of generations after the initial one, at least 0. `evolve` needs neither
        here; ``eaGenerateUpdate`` needs both, and an `Annealed` sigma without a length needs the second.
    batch_size : int, optional
        Samples in a mini-batch, at least 1 and at most all training samples. If left out, 64, or all if they are fewer.
    validation_size : int
        The number of validation samples that score the best of each generation; all, if there are fewer.
    container : callable
        Makes an individual of a list of matrices: a class made by ``creator.create`` from `WeightList`, or
        `Individual`. The weights of its fitness set which values are minimised and which maximised: Keras' metrics and
        several objectives need a container.
    init : {"scaled", "normal"}, keras.Model, path-like or sequence of array_like, optional
        `initScaled` or `initNormal`, or trainable weights: of a Keras model, such as `model` itself, of a file that
        ends in ``.keras``, ``.weights.h5`` or ``.npz``, or a list of matrices. They are the first member's network; an
        individual is the first member itself. `initAround` draws the others around it with the first sigma. If left
        out, the algorithm's.
    bounds : (float, float), optional
        The least and the largest weight: weights are clipped to them when they are drawn and mutated. Not for `ES`.
    threads : int
        TensorFlow's threads in each process. The number of workers does not change a result, the number of threads may.
    precision : {"float32", "bfloat16"}
        The arithmetic of the fitness. Processors with AMX, and some with only AVX-512 BF16, are faster in bfloat16.
        The output layers, and all validation and test scores, are always computed in float32.
    device : {"cpu", "gpu"}
        The device of TensorFlow. Only the CPU gives the same bits in each run.

    Returns
    -------
    deap.base.Toolbox
        With ``individual``, ``population``, ``clone``, ``mutate``, ``evaluate``, ``map`` (SCOOP's under
        ``python -m scoop``), and ``mate`` and ``select``, or for `ES` ``generate`` and ``update``. It also has
        ``next_generation``, ``evaluate_many`` and ``from_vector``; ``assess`` and ``error_rate``, which score on
        validation and test samples; for a `KerasProblem` ``scores``; ``to_model``, which returns a Keras model; and
        ``algorithm``, the resolved one, ``layout``, ``clock``, ``seed``, ``mates``, ``problem``, for `ES` ``step`` and
        ``recombination_weights``, and with projected steps ``layer_inputs``.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, of the wrong kind or not for the algorithm; the message names it.

    Examples
    --------
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> population = toolbox.population(n=2)
    >>> population[0].shapes
    ((784, 64), (64,), (64, 10), (10,))
    >>> 1.5 < toolbox.evaluate(population[0])[0] < 4.5
    True
    """
    from deap_nn.models.tensorflow import configure_tensorflow
    from deap_nn.problems.evaluate import functions_of, genome_of

    check_algorithm(algorithm)
    if isinstance(data, Algorithm):
        raise TypeError("data comes before algorithm: make_toolbox(problem, None, ES(), seed=1)")
    seed = check_seed(seed)
    counts = (("population", population, 1), ("generations", generations, 0), ("batch_size", batch_size, 1))
    members, generations, batch_size = (None if v is None else check_count(v, name, least) for name, v, least in counts)
    check_choice("precision", precision, ("float32", "bfloat16"))
    check_choice("device", device, ("cpu", "gpu"))
    threads = check_count(threads, "threads")
    validation_size = check_count(validation_size, "validation_size")
    if isinstance(init, str) and init not in ("scaled", "normal") and not init.endswith(SUFFIXES):
        kinds = "'scaled' or 'normal', or a file that ends in .npz, .keras or .weights.h5"
        raise ValueError(f"init must be {kinds}, got {init!r}")
    if isinstance(init, str) and init in ("scaled", "normal"):
        algorithm, init = dataclasses.replace(algorithm, init="scaled" if init == "scaled" else "normal"), None
    if init is not None and isinstance(algorithm, GA):
        if algorithm.spread not in (None, 1):
            raise ValueError(f"spread is for founders that are drawn, not for those of init, got {algorithm.spread!r}")
        algorithm = dataclasses.replace(algorithm, spread=1.0)
    its_fitness = fitness_of(container)
    configure_tensorflow(threads, device)
    if isinstance(data, tuple) and not isinstance(data, Dataset) and not isinstance(model, KerasProblem):
        model, data, precision = problem_of(model, data, algorithm, precision), None, "float32"
    algorithm = algorithm.resolved(model, batch_size or USUAL_BATCH_SIZE, bounds)
    settings = {"seed": seed, "threads": threads, "device": device, "stratified": bool(algorithm.stratified)}
    settings["keeps_features"] = isinstance(algorithm, ES) and algorithm.features_every != 1
    problem = scored_problem(model, data, algorithm, precision, its_fitness, batch_size, container, settings)
    functions = functions_of(problem, validation_size, projected=bool(algorithm.projected))
    layout = problem.model.layout
    adaptation = algorithm.adaptation()
    scales: Any = algorithm.scale
    scale = scales
    if isinstance(scale, str):
        scales = None if scale == "none" else SCALES[scale](layout)
    matrix_factors(1.0, scales, len(layout))
    known: dict[str, Any] = {"seed": seed, "algorithm": algorithm, "container": container}
    known |= {"members": members, "generations": generations}
    if isinstance(algorithm, ES):
        toolbox: MadeToolbox = StrategyToolbox(layout, step=algorithm.step, **known)
        toolbox.resting = min(problem.moved_layers, default=0), algorithm.features_every or 1
    else:
        toolbox = MadeToolbox(layout, **known)
    toolbox.problem = problem
    for name, registered in functions.items():
        toolbox.register(name, registered)
    rngs = [stream(seed, Purpose.OPERATORS, 0, i) for i in range(4)]
    noise = NoiseTable(seed, layout.size)
    limits: dict[str, Any] = {} if bounds is None else {"bounds": check_bounds(bounds)}
    founders: dict[str, Any] = dict(limits)
    initialise: Callable[..., Any] = initAround
    if init is None:
        from deap_nn.models.reference import is_fitted

        if model.is_fitted if isinstance(model, KerasProblem) else is_fitted(model):
            warn_user("model is fitted, and new weights are drawn: init=model begins at its own")
        initialise = initScaled if algorithm.init == "scaled" else initNormal
        if isinstance(algorithm, GA) and algorithm.spread != 1:
            founders["spread"] = algorithm.spread
    else:
        given = first_weights(init, layout, problem.model)
        founders["weights"] = given if isinstance(init, WeightList) else genome_of(problem, given)
        founders["sigma"] = float(adaptation.sigma)
        if isinstance(scale, str) and scale == "widest":  # the others are drawn by fan-in
            founders["scale"] = scales
    toolbox.register("individual", initialise, container, layout, noise=noise, rng=rngs[0], **founders)
    toolbox.register("population", population_of, toolbox)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=adaptation, scale=scales, **limits, noise=noise, rng=rngs[2])
    if isinstance(algorithm, GA):
        crossover, mates = CROSSOVERS[algorithm.crossover], algorithm.mates or 2
        chance = {} if crossover.indpb is None or mates > 2 else {"indpb": crossover.indpb}
        crossing = crossover.of_many if mates != 2 and crossover.of_many is not None else crossover.function
        toolbox.mates = mates
        toolbox.register("mate", crossing, **chance, rng=rngs[1])
        ranking = {"pressure": algorithm.pressure, "boost": algorithm.boost, "opposites": algorithm.opposites}
        ranking |= {"parents": algorithm.parents, "fewest": max(FEWEST, mates)}
        toolbox.register("select", selRankBoosted, **ranking, rng=rngs[3])
    else:
        toolbox.register("recombination_weights", recombination_weights, parents=algorithm.parents)
    toolbox.register("map", grouping(current_map()))
    return toolbox


def population_of(toolbox: MadeToolbox, n: int | None = None, *, start: int | None = None) -> Population:
    """Return the members of `initPopulation`, noted as those of the present generation.

    Without `start` each call returns the members after those of the calls before.
    """
    made = initPopulation(toolbox, toolbox.seed, n, start=toolbox.drawn if start is None else start)
    toolbox.drawn += len(made) if start is None else 0
    toolbox.clock.note(made)
    return made


def check_algorithm(algorithm: object) -> None:
    """Raise TypeError for what is no algorithm, such as a name."""
    if not isinstance(algorithm, Algorithm):
        raise TypeError(f"algorithm must be GA(...), ES(...) or Article(...), got {algorithm!r}")


def fitness_of(container: Any) -> base.Fitness:
    """Return the fitness of a container's individual; TypeError if it makes no `WeightList` with a fitness."""
    found = getattr(made := container(()), "fitness", None)
    if not isinstance(made, WeightList) or not isinstance(found, base.Fitness):
        raise TypeError(f"container must make a WeightList with a fitness, got {container!r}")
    return found


def problem_of(
    model: str | keras.Model, data: tuple[Any, ...], algorithm: Algorithm, precision: Literal["float32", "bfloat16"]
) -> KerasProblem:
    """Return the problem of a model on (x, y), with the algorithm's fitness as its loss."""
    if isinstance(model, str):
        raise TypeError("data of (x, y) need a Keras model; for a model by name give a Dataset")
    if len(data) not in (2, 3):
        raise ValueError(f"data must be (x, y) or (x, y, sample_weight), got a tuple of {len(data)}")
    return KerasProblem(model, data, loss=algorithm.fitness, precision=precision, centred=bool(algorithm.centred))


def scored_problem(
    model: str | keras.Model | KerasProblem,
    data: Any,
    algorithm: Algorithm,
    precision: Literal["float32", "bfloat16"],
    its_fitness: base.Fitness,
    batch_size: int | None,
    container: Any,
    settings: dict[str, Any],
) -> Problem:
    """Return the problem by which individuals are scored: that of a `KerasProblem`, or of labelled data."""
    if isinstance(model, KerasProblem):
        if algorithm.centred != model.centred:
            raise ValueError("centred is not for a KerasProblem, which has its own: KerasProblem(..., centred=True)")
        if data is not None or precision != "float32":
            raise ValueError("data and precision are not for a KerasProblem, which has its own")
        says = container is not Individual
        return of_keras_problem(model, its_fitness.weights, batch_size, says=says, **settings)
    if data is None:
        raise TypeError("data must be a name, a path, a Dataset or (x, y): only a KerasProblem has its own")
    fitness: Any = algorithm.fitness
    if len(its_fitness.weights) == 1 and its_fitness.weights[0] > 0:
        reason = f"container has a fitness that is maximised, but evaluate returns the {fitness}"
        warn_user(f"{reason}: register another evaluate, or take a negative weight")
    settings = settings | {"centred": bool(algorithm.centred), "precision": precision}
    return of_labelled_data(model, data, fitness, batch_size, **settings)


def layout_names(layout: Layout, individual: Sequence[Any]) -> dict[str, Any]:
    """Return the matrices of an individual by the layout's names, as ``best.npz`` holds them."""
    return dict(zip(layout.names, individual, strict=True))


SHARES = 4
"""The least number of groups for each worker, if there are enough individuals: all then end at about the same time."""


class grouping:  # noqa: N801  (used as a function)
    """Return a map that sends the individuals of a toolbox's ``evaluate`` in groups, if that changes no bit.

    `make_toolbox` registers its map so. A small network alone takes less time to score than its task to send.

    Parameters
    ----------
    func : callable
        A map, such as one of `open_map`. It gets a function of lists of individuals, and those lists. It maps all other
        functions unchanged.

    Examples
    --------
    >>> from deap_nn import grouping, make_toolbox
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> toolbox.register("map", grouping(map))
    >>> len(list(toolbox.map(toolbox.evaluate, toolbox.population(n=3))))
    3
    """

    def __init__(self, func: Callable[..., Iterable[Any]]) -> None:
        self.func = func  # by this name the kind of a map is found, as that of a partial call

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's results, in the order of the map."""
        from deap_nn.problems.evaluate import Evaluate  # here: it imports TensorFlow

        bare = function.func if isinstance(function, partial) and not (function.args or function.keywords) else function
        if not isinstance(bare, Evaluate) or not bare.most_together or len(iterables) != 1:
            return self.func(function, *iterables)
        individuals, workers = list(iterables[0]), worker_count(self.func)
        most = bare.most_together
        size = most if workers == 1 else max(1, min(most, -(-len(individuals) // (SHARES * workers))))
        groups = [individuals[start : start + size] for start in range(0, len(individuals), size)]
        found = self.func(partial(Evaluate.together, bare), groups)  # SCOOP sends no bound method
        answers = itertools.chain.from_iterable(found)
        return list(answers) if isinstance(found, list) else answers


def algorithm_of(config: Mapping[str, Any]) -> GA | ES:
    """Return the algorithm of a run from its ``config.json``.

    Raises
    ------
    ValueError, KeyError
        If a setting is not allowed, or missing.
    """
    check_choice("preset", config["preset"], tuple(ALGORITHMS))
    kind = ALGORITHMS[config["preset"]]
    return kind(**{field.name: config[field.name] for field in dataclasses.fields(kind)})


def toolbox_of(config: Mapping[str, Any], dataset: Dataset) -> base.Toolbox:
    """Return the toolbox of a run, wired from the settings in its ``config.json``.

    Raises
    ------
    ValueError, TypeError, KeyError
        If a setting is not allowed, of the wrong kind or missing.
    """
    model: Any = config["model"]
    if config.get("keras") is not None:
        from deap_nn.models.reference import load_model
        from deap_nn.models.tensorflow import configure_tensorflow

        configure_tensorflow(config["threads"], config["device"])
        model = load_model(_same_file(config, "keras"))
    return make_toolbox(
        model,
        dataset,
        algorithm_of(config),
        init=_same_file(config, "init_weights") if config.get("init_weights") is not None else None,
        **{name: config[name] for name in TAKEN},
    )


TAKEN = ("seed", "population", "generations", "batch_size", "threads", "precision", "device")
"""The settings that are passed to `make_toolbox` unchanged."""


def _same_file(config: Mapping[str, Any], name: str) -> Path:
    """Return the file that a setting names; ValueError if it is missing or has changed since the run began."""
    path, digest = Path(config[name]), config.get(f"{name}_sha256")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if digest is not None and digest_of(path) != digest:
        raise ValueError(f"{path}: has changed since the run began")
    return path
