"""The wiring of a DEAP toolbox that evolves the weights of a Keras model."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deap import base, tools
from numpy.typing import ArrayLike

from deap_nn.algorithms.toolbox.choices import check_for_algorithm, check_init, fitness_of, scoring_of, usual_sigma
from deap_nn.algorithms.toolbox.generate_update import register_strategy
from deap_nn.algorithms.toolbox.made import MadeToolbox, StrategyToolbox, name_fitness
from deap_nn.algorithms.toolbox.presets import usual_settings
from deap_nn.algorithms.toolbox.settings import ALIASES, FORMER_STEP, SETTINGS, canonical
from deap_nn.breeding.founders import initPopulation
from deap_nn.core.arguments import check_bounds, check_choice, check_count, check_flag, check_number, check_probability
from deap_nn.core.seeding import Purpose, check_seed, stream
from deap_nn.data.dataset import Dataset
from deap_nn.genome.individual import Individual
from deap_nn.genome.layout import Layout
from deap_nn.genome.noise import NoiseTable
from deap_nn.genome.weight_list import WeightList
from deap_nn.maps.scoop import current_map
from deap_nn.models.weight_files import first_weights
from deap_nn.operators.adaptation.feedback import SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation, check_sigma, check_whole, is_adaptation
from deap_nn.operators.by_name import CROSSOVERS, CrossoverName, checked_indpb
from deap_nn.operators.initialisation import SCALES, initAround, initNormal, initScaled
from deap_nn.operators.mutation import matrix_factors, mutGaussianAdaptive
from deap_nn.operators.ranking import check_ranking, recombination_weights
from deap_nn.operators.selection import selLogRank, selMirrored, selRankBoosted
from deap_nn.problems.keras_problem import KerasProblem
from deap_nn.problems.wiring import USUAL_BATCH_SIZE, Batches

if TYPE_CHECKING:
    import keras

LARGEST_STEP = 1e6
"""Steps of `make_toolbox` must be smaller than this."""


def make_toolbox(
    model: str | keras.Model | KerasProblem,
    data: str | Path | Dataset | tuple[Any, Any] | None = None,
    *,
    seed: int,
    preset: Literal["ga", "es", "article"] = "ga",
    population: int | None = None,
    generations: int | None = None,
    fitness: Literal["error", "cross_entropy"] | None = None,
    batch_size: int | None = None,
    batch_generations: int = 1,
    stratified: bool | None = None,
    centred: bool | None = None,
    validation_size: int = 1000,
    container: Callable[[Iterable[ArrayLike]], Any] = Individual,
    init: Literal["scaled", "normal"] | str | Path | keras.Model | Sequence[ArrayLike] | None = None,
    spread: float | None = None,
    indpb: float | None = None,
    sigma: float | Adaptation | None = None,
    scale: Literal["usual", "fan_in", "widest", "fixed", "own"] | Sequence[float] | None = "usual",
    mutation_indpb: float = 1.0,
    mutated_matrices: Literal["all", "one"] = "all",
    bounds: tuple[float, float] | None = None,
    pressure: float | None = None,
    boost: float | None = None,
    boosted: int | None = None,
    opposites: float | None = None,
    parents: float | Literal["usual"] | None = "usual",
    mates: int | None = None,
    crossover: CrossoverName | None = None,
    tournsize: int | None = None,
    step: float | None = None,
    sampling: Literal["independent", "mirrored"] | None = None,
    projected: bool | None = None,
    threads: int = 1,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: Literal["cpu", "gpu"] = "cpu",
) -> base.Toolbox:
    """Wire a DEAP toolbox for evolving the weights of a model on labelled data.

    `preset` names the algorithm; an argument that is given replaces the preset's value. DEAP's own loops run on the
    toolbox: ``eaSimple``, ``eaMuPlusLambda`` and ``eaMuCommaLambda`` on "ga" and "article", ``eaGenerateUpdate`` on
    "es". `evolve` runs on all. Any function may be replaced by ``register``. A call of the function that is registered
    as ``select`` begins a new generation, with a new mini-batch and a new sigma. A loop without ``select`` calls
    ``toolbox.next_generation(population)``.

    Parameters
    ----------
    model : str, keras.Model or KerasProblem
        ``"mnist_deep"``, ``"lenet5"``, ``"mlp"``, or a built Keras model with logits or a softmax over classes as its
        outputs. For any other model, data or fitness, a `KerasProblem`, which holds all three.
    data : str, path, Dataset or (x, y)
        A name that ``load_dataset`` knows, a file or folder, or the data themselves; None for a `KerasProblem`. A
        tuple of inputs, targets and optionally sample weights makes a `KerasProblem` with the model, and with the loss
        of a compiled model, or else the cross-entropy.
    seed : int
        The seed of all random numbers, also in `evolve`.
    preset : {"ga", "es", "article"}
        A genetic algorithm: a random mask crosses four parents, the sigma of a Gaussian mutation follows the error, and
        selection is by rank, with a boost for the best, from the best members and the opposites of the worst.
        Or an evolution strategy: children around one centre, with ``generate`` and ``update`` in place of ``mate`` and
        ``select``. Or the article's settings.
    population, generations : int, optional
        The number of members, at least 1, and of generations after the initial one, at least 0. `evolve` needs neither
        here; ``eaGenerateUpdate`` needs both, and an `Annealed` sigma without a length needs the second.
    fitness : {"error", "cross_entropy"}, optional
        The quantity to minimise on the mini-batch: the error rate, or the mean cross-entropy in nats; a `KerasProblem`
        has its own. If left out, "error" for "article", else "cross_entropy".
    batch_size : int, optional
        Samples in a mini-batch, at least 1 and at most all training samples. If left out, 64, or all if they are fewer.
    batch_generations : int
        The number of generations that use the same mini-batch, at least 1.
    stratified, centred : bool, optional
        Whether each mini-batch has all classes in proportion, and whether to score with centred layers (a
        `KerasProblem` has its own). If left out, True under "ga" and "es" for a model by name without `bounds`.
    validation_size : int
        The number of validation samples that score the best of each generation; all, if there are fewer.
    container : callable
        Makes an individual of a list of matrices: a class made by ``creator.create`` from `WeightList`, or
        `Individual`. The weights of its fitness set which values are minimised and which maximised: Keras' metrics and
        several objectives need a container.
    init : {"scaled", "normal"}, keras.Model, path-like or sequence of array_like, optional
        `initScaled` or `initNormal`, or trainable weights: of a Keras model, such as `model` itself, of a file that
        ends in ``.keras``, ``.weights.h5`` or ``.npz``, or a list of matrices. They are the first member's network; an
        individual is the first member itself. `initAround` draws the others around it with the first `sigma`. If left
        out, "normal" for "article", else "scaled".
    spread : float, optional
        As in `initScaled`, for `init` "scaled". If left out, 0.5 for "ga" and a model by name without `bounds`, else 1.
    indpb : float, optional
        The probability that `cxMask` exchanges a locus, `cxMatrices` a matrix or `cxUnits` a unit; one half if left
        out. For "biased" the share of the less fit parent; a quarter if left out. It needs two `mates`.
    sigma : float or Adaptation, optional
        The mutation step size, copied. If left out, ``ErrorScaled(0.1)``, or ``SelfAdaptive(0.1, 0.005)`` if the
        fitness is neither an error rate nor a cross-entropy; for "es" ``Annealed(0.5, 0.025)``. With projected steps
        ``ErrorScaled(0.128)`` and ``Annealed(0.4, 0.1)``. An `ErrorScaled` without a ``fitness`` gets `fitness`.
    scale : {"fan_in", "widest", "fixed", "own"} or sequence of float, optional
        A factor of `sigma` for each matrix: "fan_in", the standard deviation by which `initScaled` draws it, "widest",
        that of the one with the largest fan-in, "fixed", 1/16, or "own", the size of its weights, which takes longer;
        None for 1. If left out, "fan_in", with projected steps "fixed" and for "es" "widest"; for "article" None.
    mutation_indpb : float
        The probability that a weight is mutated, 0 to 1; below 1 breeding takes much longer.
    mutated_matrices : {"all", "one"}
        Whether mutation changes all matrices of a child, or one drawn at random; with "one" breeding takes much longer.
    bounds : (float, float), optional
        The least and the largest weight: weights are clipped to them when they are drawn and mutated. Not for "es".
    pressure, boost, boosted, opposites : float, float, int, float, optional
        As in `selRankBoosted`. If left out, for "ga" 1.5, 2, 1 and, for a model by name without `bounds` and in
        `evolve` only, 0.5; for "article" 2, 100, 1 and 0.
    parents : int or float, optional
        As in `selRankBoosted`: a number, or a share of the population; None for all. If left out, for "ga" half of all
        with opposites, else a quarter, and at least 10; for "article" all. For "es" the number of the best members that
        have a recombination weight, and of the worst; half of all if left out.
    mates : int, optional
        The number of parents that are crossed at a time, 2 to 256: two by `cxMask`, more by `cxScanning`, any number
        by "average". DEAP's own loops always cross two. If left out, four for the mask of "ga", else two.
    crossover : {"mask", "biased", "split", "matrices", "units", "average", "none"}, optional
        `cxMask` or `cxScanning` for the number of `mates`, `cxBiased`, `cxSplit`, `cxMatrices`, `cxUnits`, the mean of
        `mates` by `cxMean`, or none. The mask if left out.
    tournsize : int, optional
        Draw parents from all members by `deap.tools.selTournament` with this number of contestants, at least 1. It
        excludes `pressure`, `boost`, `boosted`, `opposites` and `parents`.
    step : float, optional
        For "es": the step of the centre, in units of its distance to the mean of the chosen members, above 0. If left
        out, `usual_step` for the model and the size of the run.
    sampling : {"independent", "mirrored"}, optional
        For "es". Independent children have their own noise, and ``toolbox.recombination_weights`` gives the weight of
        each rank, negative for the worse half (`recombination_weights`). Mirrored children come in pairs with the same
        noise, added and subtracted; ``toolbox.select`` is `selMirrored`, which draws the better ones.
    projected : bool, optional
        Whether the step of the centre, or under `evolve` of the mean of the parents, is projected onto the inputs that
        centred dense layers have for the mini-batch. If left out, True for "ga" and "es" and a model by name, if
        `centred` and without `bounds`, and if the batch is smaller than the number of these inputs.
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
        ``python -m scoop``), and ``mate`` and ``select``, or for "es" ``generate`` and ``update``. It also has
        ``next_generation``, ``evaluate_many`` and ``from_vector``; ``assess`` and ``error_rate``, which score on
        validation and test samples; for labelled data ``vote_error_rate`` and for a `KerasProblem` ``scores``;
        ``to_model``, which returns a Keras model; and ``layout``, ``clock``, ``seed``, ``mates``, ``problem``, for
        "es" ``step`` and ``recombination_weights``, and if `projected` ``layer_inputs``.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, of the wrong kind or not for the preset; the message names it.

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

    seed, algorithm = check_seed(seed), canonical(preset)
    if preset in ALIASES:
        warnings.warn(f"preset {preset!r} is now called {algorithm!r}", DeprecationWarning, stacklevel=2)
    former = crossover == "mean" and SETTINGS[algorithm]["step"] is None
    if crossover == "mean":
        warnings.warn("crossover='mean' is deprecated: take preset='es'", DeprecationWarning, stacklevel=2)
    counts = (("population", population, 1), ("generations", generations, 0), ("batch_size", batch_size, 1))
    members, generations, batch_size = (None if v is None else check_count(v, name, least) for name, v, least in counts)
    named = model if isinstance(model, str) and bounds is None and not former else None
    usual = usual_settings(algorithm, named, batch_size or USUAL_BATCH_SIZE, centred, projected)
    of_pairs: dict[str, Any] = {"pressure": pressure, "boost": boost, "boosted": boosted, "mates": mates}
    of_pairs |= {"indpb": indpb, "tournsize": tournsize}
    of_pairs |= {"bounds": bounds, "opposites": opposites, "spread": spread}
    around_centre, algorithm = former or usual["step"] is not None, "es" if former else algorithm
    others: dict[str, Any] = {"crossover": crossover, "step": step, "sampling": sampling}
    others |= {"parents": None if parents == "usual" else parents}
    check_for_algorithm(canonical(preset), of_pairs, others, former)
    if fitness is not None:
        check_choice("fitness", fitness, ("error", "cross_entropy"))
    init = usual["init"] if init is None else init
    check_init(init, spread)
    crossover = crossover or usual["crossover"]
    check_choice("crossover", crossover, tuple(CROSSOVERS))
    if step is not None and not 0 < check_number(step, "step") < LARGEST_STEP:
        raise ValueError(f"step must be above 0 and below {LARGEST_STEP:g}, got {step!r}")
    sampling = sampling or "independent"
    check_choice("sampling", sampling, ("independent", "mirrored"))
    check_choice("precision", precision, ("float32", "bfloat16"))
    check_choice("device", device, ("cpu", "gpu"))
    drawn: Any = usual["stratified"] and "classes" if stratified is None else check_flag("stratified", stratified)
    stays = check_count(batch_generations, "batch_generations")
    validation_size = check_count(validation_size, "validation_size")
    threads = check_count(threads, "threads")
    check_probability(mutation_indpb, "mutation_indpb")
    check_choice("mutated_matrices", mutated_matrices, ("all", "one"))
    scale = usual["scale"] if isinstance(scale, str) and scale == "usual" else scale
    if isinstance(scale, str):
        check_choice("scale", scale, (*SCALES, "own"))
    if around_centre and isinstance(sigma, SelfAdaptive):
        raise ValueError("SelfAdaptive is not for an evolution strategy around one centre")
    if mates is None:
        mates = usual["mates"] if crossover == usual["crossover"] and indpb is None else 2
    indpb = checked_indpb(crossover, mates or 2, indpb)
    its_fitness = fitness_of(container)
    ranking: dict[str, Any] = {
        "pressure": usual["pressure"] if pressure is None else pressure,
        "boost": usual["boost"] if boost is None else boost,
        "boosted": 1 if boosted is None else boosted,
        "opposites": usual["opposites"] or 0.0 if opposites is None else opposites,
        "parents": (None if former else usual["parents"]) if parents == "usual" else parents,
    }
    ranking["fewest"] = max(usual["fewest"] if parents == "usual" else 2, mates or 2)
    check_ranking(**ranking)
    configure_tensorflow(threads, device)
    layers = usual["centred"], drawn, usual["projected"]
    batches = Batches(batch_size, validation_size, seed, threads, device, stays, *layers)
    scoring = scoring_of(model, data, fitness, usual["fitness"], precision, its_fitness, batches, container)
    layout = scoring.layout
    if sigma is None:
        sigma = usual_sigma("es" if around_centre and not former else "pairs", scoring.problem.fitness, usual, former)
    check_whole(sigma, "sigma")
    adaptation: Any = copy.deepcopy(sigma)
    if is_adaptation(adaptation):
        adaptation.reset()  # an earlier run may have used it
    else:
        check_sigma(adaptation, "sigma")
    name_fitness(adaptation, scoring.problem)
    scales = SCALES[scale](layout) if isinstance(scale, str) and scale in SCALES else scale
    if not isinstance(scales, str):
        matrix_factors(1.0, scales, len(layout))
    known: dict[str, Any] = {"seed": seed, "algorithm": algorithm, "container": container}
    known |= {"members": members, "generations": generations}
    toolbox: MadeToolbox = MadeToolbox(layout, **known)
    if around_centre and not former:
        toolbox = StrategyToolbox(layout, sampling=sampling, step=None if step is None else float(step), **known)
    toolbox.problem = scoring.problem
    rngs = [stream(seed, Purpose.OPERATORS, 0, i) for i in range(4)]
    noise = NoiseTable(seed, layout.size)
    limits: dict[str, Any] = {} if bounds is None else {"bounds": check_bounds(bounds)}
    around = dict(limits)
    initialise: Callable[..., Any] = initAround
    if isinstance(init, str) and init in ("scaled", "normal"):
        initialise = initScaled if init == "scaled" else initNormal
        if init == "scaled" and (spread := usual["spread"] if spread is None else float(spread)) not in (None, 1):
            around["spread"] = spread
    else:
        given = first_weights(init, layout, scoring.problem.model)
        around["weights"] = given if isinstance(init, WeightList) else scoring.genome(given)
        around["sigma"] = float(adaptation.sigma if is_adaptation(adaptation) else adaptation)
        around |= {"scale": scales} if isinstance(scale, str) and scale == "widest" else {}  # others: by fan-in
    toolbox.register("individual", initialise, container, layout, noise=noise, rng=rngs[0], **around)
    toolbox.register("population", initPopulation, toolbox, seed)
    toolbox.mates = mates or 2
    mutation = {"sigma": adaptation, "indpb": float(mutation_indpb), "scale": scales, "matrices": mutated_matrices}
    toolbox.register("mutate", mutGaussianAdaptive, **mutation, **limits, noise=noise, rng=rngs[2])
    if around_centre:
        counted = {"parents": ranking["parents"]}
        if former:
            toolbox.step = FORMER_STEP if step is None else float(step)
            toolbox.register("mate", CROSSOVERS["mean"].function, rng=rngs[1])
        if sampling == "independent":
            toolbox.register("recombination_weights", recombination_weights, **counted)
        if former or sampling == "mirrored":
            chosen = selLogRank if sampling == "independent" else selMirrored
            toolbox.register("select", chosen, **counted, rng=rngs[3])
    else:
        mate = CROSSOVERS[crossover]
        chance = {} if indpb is None else {"indpb": indpb}
        crossing = mate.of_many if mates != 2 and mate.of_many is not None else mate.function
        toolbox.register("mate", crossing, **chance, rng=rngs[1])
        if tournsize is not None:
            toolbox.register("select", tools.selTournament, tournsize=tournsize, rng=rngs[3])
        else:
            own = {"in_loops": False} if opposites is None and ranking["opposites"] else {}
            toolbox.register("select", selRankBoosted, **ranking, **own, rng=rngs[3])
    toolbox.register("map", current_map())
    for name, registered in scoring.registered.items():
        toolbox.register(name, registered)
    if isinstance(toolbox, StrategyToolbox):
        register_strategy(toolbox)
    return toolbox


def layout_names(layout: Layout, individual: Sequence[Any]) -> dict[str, Any]:
    """Return the matrices of an individual by the layout's names, as ``best.npz`` holds them."""
    return dict(zip(layout.names, individual, strict=True))
