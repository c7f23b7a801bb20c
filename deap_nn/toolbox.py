"""The wiring of a DEAP toolbox that evolves the weights of a Keras model."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deap import base, tools
from numpy.typing import ArrayLike

from deap_nn import parallel
from deap_nn.adaptation import Adaptation, Constant, ErrorScaled, SelfAdaptive, check_sigma
from deap_nn.clock import Clock, GenerationalSelect
from deap_nn.datasets import Dataset
from deap_nn.founders import initPopulation
from deap_nn.initialisation import fan_in_scales, initAround, initNormal, initScaled
from deap_nn.keras_problem import KerasProblem
from deap_nn.mating import CROSSOVERS, CrossoverName, checked_indpb
from deap_nn.mutation import matrix_factors, mutGaussianAdaptive
from deap_nn.noise import NoiseTable
from deap_nn.problems import Batches, of_keras_problem, of_labelled_data
from deap_nn.seeding import Purpose, check_seed, stream
from deap_nn.selection import check_ranking, recombination_weights, selLogRank, selMirrored, selRankBoosted
from deap_nn.weight_files import checked_weights
from deap_nn.weights import Layout, WeightList, check_count, check_number, check_probability

if TYPE_CHECKING:
    import keras


class FitnessMin(base.Fitness):  # type: ignore[misc]  # DEAP has no types
    """A fitness of one value that is minimised."""

    weights = (-1.0,)


class Individual(WeightList):
    """A genome with a `FitnessMin`, which needs no ``creator`` and pickles by its name."""

    def __init__(self, matrices: Iterable[ArrayLike] = ()) -> None:
        super().__init__(matrices)
        self.fitness = FitnessMin()


LARGEST_STEP = 1e6
"""No step of `make_toolbox` is as large."""


def make_toolbox(
    model: str | keras.Model | KerasProblem,
    data: str | Path | Dataset | None = None,
    *,
    seed: int,
    fitness: Literal["error", "cross_entropy"] = "cross_entropy",
    batch_size: int | None = None,
    batch_generations: int = 1,
    validation_size: int = 1000,
    container: Callable[[Iterable[ArrayLike]], Any] = Individual,
    init: Literal["scaled", "normal"] | Sequence[ArrayLike] = "scaled",
    indpb: float | None = None,
    sigma: float | Adaptation | None = None,
    scale: Literal["fan_in", "own"] | Sequence[float] | None = "fan_in",
    mutation_indpb: float = 1.0,
    mutated_matrices: Literal["all", "one"] = "all",
    pressure: float = 1.5,
    boost: float = 1.0,
    boosted: int = 1,
    parents: int | Literal["usual"] | None = "usual",
    mates: int = 2,
    crossover: CrossoverName = "mask",
    tournsize: int | None = None,
    elites: int = 0,
    elite_batches: int = 1,
    step: float = 6.0,
    sampling: Literal["independent", "mirrored"] = "independent",
    threads: int = 1,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: Literal["cpu", "gpu"] = "cpu",
) -> base.Toolbox:
    """Wire a DEAP toolbox for evolving the weights of a model on labelled data.

    DEAP's own loops run on it as they are, and ``evolve`` too. Anything may be registered anew. ``select`` begins a
    new generation: a new mini-batch, and a new amount of mutation.

    Parameters
    ----------
    model : str, keras.Model or KerasProblem
        ``"mnist_deep"``, ``"lenet5"``, ``"mlp"``, or a built Keras model that answers with logits or a softmax over
        classes. For any other, and other data or fitness, a `KerasProblem`, which has both.
    data : str, path or Dataset
        A name that ``load_dataset`` knows, a file or folder, or the data themselves; nothing for a `KerasProblem`.
    seed : int
        Decides everything random.
    fitness : {"error", "cross_entropy"}
        What is minimised on the mini-batch: the error rate, or the mean cross-entropy in nats; a `KerasProblem` has its
        own.
    batch_size : int, optional
        Samples in a mini-batch, at least 1 and at most the training samples. If left out 64, or all if they are fewer.
    batch_generations : int
        How many generations a mini-batch stays before the next one comes, at least 1.
    validation_size : int
        How many validation samples score the best of each generation; all, if there are fewer.
    container : callable
        Makes an individual of a list of matrices; a class made by ``creator.create`` of `WeightList`, or `Individual`.
        Its fitness says what is minimised and what maximised: for Keras' metrics and several objectives it has to be
        given.
    init : {"scaled", "normal"} or sequence of array_like
        `initScaled` or `initNormal`; or weights, a matrix for each of the model's (`read_weights` gives those of a
        file): they are the first member, and the others lie around them, by `initAround` with the first `sigma`.
    indpb : float, optional
        The probability that `cxMask` exchanges a locus, `cxMatrices` a matrix, `cxUnits` a unit, one half if left out;
        under "biased" the share of the less fit, a quarter if left out. For any other crossover it is left out.
    sigma : float or Adaptation, optional
        The strength of mutation, copied. Left out, ``ErrorScaled(0.1)``; where fitness is neither an error rate nor a
        cross-entropy, ``Constant(0.1)`` with "mean" and else ``SelfAdaptive(0.1, 0.005)``. An `ErrorScaled` that does
        not say what the fitness is goes by `fitness`.
    scale : {"fan_in", "own"} or sequence of float, optional
        A factor of `sigma` for each matrix: "fan_in" is the one that `initScaled` draws the matrix with, "own" the size
        of its weights at present, with which breeding takes much longer. None for none.
    mutation_indpb : float
        The probability that a weight is mutated, 0 to 1; below 1 breeding takes much longer.
    mutated_matrices : {"all", "one"}
        Whether all matrices are mutated, or one of each child, drawn at random; then breeding takes much longer.
    pressure, boost, boosted, parents
        As `selRankBoosted` takes them, if with other defaults; `parents` may be larger than the population, and are
        usually 10, with "mean" half of all.
    mates : int
        How many parents are mated at a time, 2 to 256: two by `cxMask`, more by `cxScanning`, any by "average". DEAP's
        own loops mate two all the same.
    crossover : {"mask", "biased", "split", "matrices", "units", "average", "none", "mean"}
        `cxMask` for as many as `mates` says, `cxBiased`, `cxSplit`, `cxMatrices`, `cxUnits`, the mean of as many as
        `mates` says by `cxMean`, or none. "mean" mates all at once: the children of the next generation are mutated
        around one centre by ``evolve``, which leaves ``mate`` and ``cxpb`` aside then. `pressure`, `boost`, `boosted`,
        `mates`, `indpb` and `tournsize` are not for "mean". DEAP's own loops take the mean of two.
    tournsize : int, optional
        Draw parents by `deap.tools.selTournament` with so many contestants, at least 1, from all: `pressure`, `boost`,
        `boosted` and `parents` are not for it.
    elites : int
        So many of the best live on unchanged in the next generation and are scored again there, by ``evolve``. Not for
        "mean".
    elite_batches : int
        The fitness of one that lives on is a running mean: of all its mini-batches until they are so many, and then
        each new one counts so manieth. At least 1, the new one alone.
    step : float
        How far "mean" goes from the centre of a generation to the mean of those drawn, above 0: 1 is that mean, more
        goes on in its direction. `usual_step` gives one that suits the run.
    sampling : {"independent", "mirrored"}
        Of "mean". Independent children all have noise of their own, and ``toolbox.weigh`` says how much each counts,
        the worse half against (`recombination_weights`); `selLogRank` is for DEAP's own loops. Mirrored ones come in
        pairs with the same noise, added and taken away, of which `selMirrored` draws the better ones: half as many
        directions are tried. To draw parents by a selection of your own, take the mirrored ones.
    threads : int
        TensorFlow's threads in each process. Results are the same for any number of workers, but not of threads.
    precision : {"float32", "bfloat16"}
        What the fitness is computed in. Processors with AMX, and some that have AVX-512 BF16 alone, are faster in
        bfloat16, in which the layers that give the answers do not compute; validation and test are always computed in
        float32.
    device : {"cpu", "gpu"}
        What TensorFlow computes on; the same bits are promised on a processor alone.

    Returns
    -------
    deap.base.Toolbox
        With ``individual``, ``population``, ``clone``, ``mate``, ``mutate``, ``select``, ``evaluate`` and ``map``
        (SCOOP's under ``python -m scoop``); beside them ``assess`` and ``error_rate``, which score on
        validation and test samples, for labelled data ``vote_error_rate`` and for a `KerasProblem` ``scores``,
        ``to_model``, which gives a Keras model back, ``layout``, ``clock``, ``mates``, ``elites``,
        ``elite_batches``, ``problem`` and under "mean" ``step``, which is what tells ``evolve``, and ``weigh``.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong kind, naming it.

    Examples
    --------
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> population = toolbox.population(n=2)
    >>> population[0].shapes
    ((784, 64), (64,), (64, 10), (10,))
    >>> 1.5 < toolbox.evaluate(population[0])[0] < 4.5
    True
    """
    from deap_nn.models import configure_tensorflow

    seed = check_seed(seed)
    _check_choice("fitness", fitness, ("error", "cross_entropy"))
    if isinstance(init, str):
        _check_choice("init", init, ("scaled", "normal"))
    _check_choice("crossover", crossover, tuple(CROSSOVERS))
    if not 0 < check_number(step, "step") < LARGEST_STEP:
        raise ValueError(f"step must be above 0 and below {LARGEST_STEP:g}, got {step!r}")
    _check_choice("sampling", sampling, ("independent", "mirrored"))
    _check_choice("precision", precision, ("float32", "bfloat16"))
    _check_choice("device", device, ("cpu", "gpu"))
    batch_size = None if batch_size is None else check_count(batch_size, "batch_size")
    stays = check_count(batch_generations, "batch_generations")
    validation_size = check_count(validation_size, "validation_size")
    threads = check_count(threads, "threads")
    check_probability(mutation_indpb, "mutation_indpb")
    _check_choice("mutated_matrices", mutated_matrices, ("all", "one"))
    if isinstance(scale, str):
        _check_choice("scale", scale, ("fan_in", "own"))
    elites = check_count(elites, "elites", 0)
    if check_count(elite_batches, "elite_batches") > 1 and not elites:
        raise ValueError(f"elite_batches needs elites, got {elite_batches!r}")
    if crossover == "mean" and (elites or isinstance(sigma, SelfAdaptive)):
        raise ValueError("elites and SelfAdaptive are not for crossover 'mean'")
    if parents == "usual":
        parents = None if crossover == "mean" else 10
    check_ranking(pressure, boost, boosted, parents)
    indpb = checked_indpb(crossover, mates, indpb)
    if tournsize is not None:
        check_count(tournsize, "tournsize")
        if crossover == "mean":
            raise ValueError(f"tournsize is not for crossover 'mean', got {tournsize!r}")
    made = container(())
    its_fitness = getattr(made, "fitness", None)
    if not isinstance(made, WeightList) or not isinstance(its_fitness, base.Fitness):
        raise TypeError(f"container must make a WeightList with a fitness, got {container!r}")
    configure_tensorflow(threads, device)
    batches = Batches(batch_size, validation_size, seed, threads, device, stays)
    if isinstance(model, KerasProblem):
        own = [objective.kind for objective in model.objectives]
        if data is not None or (fitness != "cross_entropy" and own != [fitness]) or precision != "float32":
            raise ValueError("data, fitness and precision are not for a KerasProblem, which has its own")
        scoring = of_keras_problem(model, its_fitness.weights, batches, says=container is not Individual)
    else:
        if data is None:
            raise TypeError("data must be a name, a path or a Dataset where the model is no KerasProblem")
        if len(its_fitness.weights) == 1 and its_fitness.weights[0] > 0:
            warnings.warn(f"container is maximised, and evaluate gives the {fitness}: register another", stacklevel=2)
        scoring = of_labelled_data(model, data, fitness, precision, batches)
    layout = scoring.layout
    if sigma is not None or scoring.fitness is not None:
        adaptation = ErrorScaled(0.1) if sigma is None else copy.deepcopy(sigma)
    else:
        adaptation = Constant(0.1) if crossover == "mean" else SelfAdaptive(0.1, 0.005)
    if not isinstance(adaptation, Adaptation):
        check_sigma(adaptation, "sigma")
    elif isinstance(adaptation, ErrorScaled) and adaptation.fitness is None:
        if scoring.fitness is None:
            raise ValueError(
                "ErrorScaled must say what the fitness is where that is not an error or a cross-entropy; "
                "Annealed and the other adaptations go without"
            )
        adaptation.fitness = scoring.fitness
    scales = fan_in_scales(layout) if isinstance(scale, str) and scale == "fan_in" else scale
    if not isinstance(scales, str):
        matrix_factors(1.0, scales, len(layout))
    toolbox = base.Toolbox()
    toolbox.layout, toolbox.clock, toolbox.problem = layout, Clock(toolbox), scoring.problem
    rngs = [stream(seed, Purpose.OPERATORS, 0, i) for i in range(4)]
    noise = NoiseTable(seed, layout.size)
    initialise: Callable[..., Any] = initScaled if isinstance(init, str) and init == "scaled" else initNormal
    around: dict[str, Any] = {}
    if not isinstance(init, str):
        first = adaptation.sigma if isinstance(adaptation, Adaptation) else adaptation
        initialise, around = initAround, {"weights": checked_weights(init, layout, "init"), "sigma": float(first)}
    toolbox.register("individual", initialise, container, layout, noise=noise, rng=rngs[0], **around)
    toolbox.register("population", initPopulation, toolbox, seed)
    toolbox.mates = mates
    if crossover == "mean":
        toolbox.step, toolbox.mates = float(step), 2
    mate = CROSSOVERS[crossover]
    chance = {} if indpb is None else {"indpb": indpb}
    toolbox.register("mate", mate.function if mates == 2 else mate.of_many, **chance, rng=rngs[1])
    toolbox.elites, toolbox.elite_batches = elites, elite_batches
    strength = {"sigma": adaptation, "indpb": float(mutation_indpb), "scale": scales, "matrices": mutated_matrices}
    toolbox.register("mutate", mutGaussianAdaptive, **strength, noise=noise, rng=rngs[2])
    if crossover == "mean":
        chosen = selLogRank if sampling == "independent" else selMirrored
        if sampling == "independent":
            toolbox.register("weigh", recombination_weights, parents=parents)
        toolbox.register("select", GenerationalSelect(toolbox.clock, chosen), parents=parents, rng=rngs[3])
    elif tournsize is not None:
        select = GenerationalSelect(toolbox.clock, tools.selTournament)
        toolbox.register("select", select, tournsize=tournsize, rng=rngs[3])
    else:
        toolbox.register(
            "select",
            GenerationalSelect(toolbox.clock, selRankBoosted),
            pressure=pressure,
            boost=boost,
            boosted=boosted,
            parents=parents,
            rng=rngs[3],
        )
    toolbox.register("map", parallel.current_map())
    for name, registered in scoring.registered.items():
        toolbox.register(name, registered)
    return toolbox


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")


def layout_names(layout: Layout, individual: Sequence[Any]) -> dict[str, Any]:
    """Return the matrices of an individual by the layout's names, as ``best.npz`` holds them."""
    return dict(zip(layout.names, individual, strict=True))
