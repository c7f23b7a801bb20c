"""Scripts in the form of DEAP's documentation, with the mistakes and the operators that such scripts have."""

import copy
import json
import pickle
import random
from functools import partial

import numpy as np
import pytest
from deap import algorithms, base, creator, tools
from wirings import LAYOUT, TABLE, Watch, members, plain_toolbox, result, sum_of_squares, wired

from deap_nn import (
    CheckpointError,
    Individual,
    RunDirectory,
    SelfAdaptive,
    WeightList,
    cxScanning,
    elementwise,
    evolve,
    make_toolbox,
    mutGaussianAdaptive,
)
from deap_nn.core.logbooks import rows_of
from deap_nn.operators.describe import describe_algorithm

creator.create("LeastInScripts", base.Fitness, weights=(-1.0,))
creator.create("StrategicInScripts", WeightList, fitness=creator.LeastInScripts, strategy=None)


def simple(population, toolbox):
    return algorithms.eaSimple(population, toolbox, cxpb=0.9, mutpb=1.0, ngen=2, verbose=False)


def evolved(population, toolbox, **options):
    return evolve(population, toolbox, 2, seed=1, **options)


def assigning(value):
    def mutate(individual):
        individual[0] = value
        return (individual,)

    return mutate


@pytest.mark.parametrize("loop", [simple, evolved])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (3.0, "got 3.0"),
        (np.float32(3), r"got np.float32\(3.0\)"),
        ([[0.0] * 3] * 3, r"got \[\[0.0"),
        (np.zeros((3, 3)), r"got float64 of the shape \(3, 3\)"),
        (np.zeros((3, 2), np.float32), r"got float32 of the shape \(3, 2\)"),
    ],
)
def test_a_matrix_is_replaced_only_by_one_of_its_kind(value, got, loop):
    random.seed(1)
    toolbox = plain_toolbox(mate=tools.cxTwoPoint, mutate=assigning(value))
    population = [Individual([member[0], np.zeros(3)]) for member in members()]
    with pytest.raises(ValueError, match=rf"individual\[0\] must be float32 of the shape \(3, 3\), {got}") as raised:
        loop(population, toolbox)
    assert "\n" not in str(raised.value)
    assert all(member.flat.size == 12 for member in population)


def test_a_slice_takes_matrices_of_the_same_kind():
    individual = Individual([np.zeros((2, 3)), np.zeros(3), np.ones(3)])
    individual[1:] = individual[:0:-1]
    assert individual.flat[-6:].tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(ValueError, match="individual keeps its 3 matrices: got 1 for 2"):
        individual[1:] = [individual[1]]
    with pytest.raises(ValueError, match=r"individual\[2\] must be float32 of the shape \(3,\), got float32"):
        individual[::-1] = list(individual)
    assert individual.shapes == ((2, 3), (3,), (3,))


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_a_population_of_another_toolbox_is_refused_by_a_line(digits, breeding):
    toolbox, other = (make_toolbox(model, digits, seed=1) for model in ("mlp", "lenet5"))
    shapes = r"\(\(784, 64\), \(64,\), .*\) of the toolbox, got \(\(5, 5, 1, 6\), \(6,\), .*\)$"
    for population in (other.population(n=4), [*toolbox.population(n=3), *other.population(n=1)]):
        with pytest.raises(ValueError, match=f"^population must have the shapes {shapes}"):
            evolved(population, toolbox, breeding=breeding)


GAUSSIAN = {"mu": 0.0, "sigma": 0.1, "indpb": 1.0}
BOUNDS = {"low": -0.1, "up": 0.1}


def test_an_elementwise_mutation_changes_each_weight_by_itself():
    random.seed(1)
    (individual,) = members(1)
    before = individual.flat.copy()
    assert elementwise(tools.mutGaussian)(individual, **GAUSSIAN)[0] is individual
    assert len(np.unique(individual.flat - before)) == individual.flat.size
    assert (individual.flat.dtype, individual.shapes) == (np.float32, ((3, 3),))
    toolbox = plain_toolbox(mutate=elementwise(tools.mutGaussian, **GAUSSIAN), mate=elementwise(tools.cxTwoPoint))
    population, _ = simple(members(), toolbox)
    assert len({tuple(member.flat.tolist()) for member in population}) == 10
    how = "two parents crossed (cxTwoPoint, weight by weight), mutation by mutGaussian, weight by weight"
    assert how in describe_algorithm(toolbox, 10)


@pytest.mark.parametrize(
    ("mate", "mutate"),
    [
        (elementwise(tools.cxTwoPoint), elementwise(tools.mutGaussian, **GAUSSIAN)),
        (elementwise(tools.cxBlend, alpha=0.5), elementwise(tools.mutShuffleIndexes, indpb=0.1)),
        (
            elementwise(tools.cxSimulatedBinaryBounded, eta=20.0, **BOUNDS),
            elementwise(tools.mutPolynomialBounded, eta=0.5, indpb=0.5, low=[-0.1] * 63, up=np.full(63, 0.1)),
        ),
    ],
)
def test_elementwise_operators_give_the_same_bytes_by_recipes_and_plainly(mate, mutate):
    def run(**options):
        return result(wired(mate=pickle.loads(pickle.dumps(mate)), mutate=mutate), n=6, ngen=3, **options)

    weights, rows = run(breeding="recipes")
    assert (weights, rows) == run(breeding="plain")
    assert rows[-1]["std"] > 0
    if "low" in mutate.keywords:
        assert all(np.abs(np.frombuffer(one, np.float32)).max() <= np.float32(0.1) for one in weights)


def test_an_elementwise_crossover_loses_no_weight():
    random.seed(1)
    a, b = (Individual([np.arange(first, first + 8.0), np.arange(first + 8.0, first + 12.0)]) for first in (0, 20))
    elementwise(tools.cxTwoPoint)(a, b)
    assert sorted([*a.flat, *b.flat]) == [*range(12), *range(20, 32)]
    assert 0 < (a.flat >= 20).sum() < 12
    random.seed(2)
    with pytest.raises(ValueError, match="cxMessyOnePoint must return the 12 weights of an individual, got"):
        elementwise(tools.cxMessyOnePoint)(a, b)
    with pytest.raises(ValueError, match="must have the same shapes"):
        elementwise(tools.cxTwoPoint)(a, *members(1))
    for answer, got in ((None, "NoneType"), ((a,), "1 values")):
        with pytest.raises(ValueError, match=f"must return its individuals in a tuple, 2 of them, got {got}"):
            elementwise(lambda first, second, answer=answer: answer)(a, b)


def strategic(strategy):
    """A toolbox in the form of DEAP's example of an evolution strategy, ``es/fctmin.py``."""

    def initES():
        individual = creator.StrategicInScripts([np.random.default_rng(random.getrandbits(32)).normal(size=(3, 4))])
        individual.strategy = strategy()
        return individual

    toolbox = base.Toolbox()
    toolbox.register("individual", initES)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("mate", elementwise(tools.cxESBlend), alpha=0.1)
    toolbox.register("mutate", elementwise(tools.mutESLogNormal), c=1.0, indpb=0.5)
    toolbox.register("select", tools.selTournament, tournsize=3)
    toolbox.register("evaluate", sum_of_squares)
    return toolbox


@pytest.mark.parametrize(
    "strategy",
    [lambda: [0.5] * 12, lambda: np.full(12, 0.5), lambda: WeightList([np.full((3, 4), 0.5)])],
    ids=["list", "array", "weights"],
)
def test_the_strategies_of_an_evolution_strategy_are_inherited(strategy):
    random.seed(1)
    toolbox = strategic(strategy)
    sizes = {"mu": 6, "lambda_": 20, "cxpb": 0.6, "mutpb": 0.3, "ngen": 12}
    population, _ = algorithms.eaMuCommaLambda(toolbox.population(n=6), toolbox, **sizes, verbose=False)
    again, _ = evolve(toolbox.population(n=12), toolbox, 6, seed=1)
    for found in (population, again):
        assert type(found[0].strategy) is type(strategy())
        numbers = [np.ravel([*map(np.ravel, member.strategy)]) for member in found]
        assert {len(number) for number in numbers} == {12}
        assert len({float(number[0]) for number in numbers}) > 1
    assert min(member.fitness.values[0] for member in population) < 3


def test_strategies_are_inherited_by_a_population_that_recipes_would_serve():
    operators = {"mate": elementwise(tools.cxESBlend, alpha=0.1)}
    operators["mutate"] = elementwise(tools.mutESLogNormal, c=1.0, indpb=0.5)
    toolbox = wired(**operators)
    population = toolbox.population(n=6)
    for member in population:
        member.strategy = [0.3] * 63
    evolved(population, toolbox)
    assert {len(member.strategy) for member in population} == {63}
    assert all(len(set(member.strategy)) > 9 for member in population)


NUMBERS = {
    "mutGaussian": "mutate",
    "mutESLogNormal": "mutate",
    "mutPolynomialBounded": "mutate",
    "mutFlipBit": "mutate",
    "mutUniformInt": "mutate",
    "cxBlend": "mate",
    "cxESBlend": "mate",
    "cxSimulatedBinary": "mate",
    "cxSimulatedBinaryBounded": "mate",
}


@pytest.mark.parametrize(("name", "alias"), NUMBERS.items())
def test_an_operator_that_takes_a_matrix_for_a_number_is_warned_of(digits, name, alias):
    said = (
        rf"{alias}: {name} treats each matrix as one number, .*: use elementwise\({name}, ...\) to change each weight"
    )
    toolbox = make_toolbox("mlp", digits, seed=1)
    with pytest.warns(UserWarning, match=said) as found:
        toolbox.register(alias, getattr(tools, name))
    assert found[0].filename == __file__
    toolbox.register(alias, elementwise(getattr(tools, name)))  # without a warning
    with pytest.warns(UserWarning, match=said) as found:
        evolve(members(), plain_toolbox(**{alias: getattr(tools, name)}), 0, seed=1)
    assert found[0].filename == __file__


def test_an_operator_is_warned_of_at_register_or_by_evolve(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
    with pytest.warns(UserWarning, match="mutGaussian treats each matrix as one number"):
        toolbox.register("mutate", tools.mutGaussian, mu=0, sigma=0.1, indpb=0.1)
    evolve(toolbox.population(n=4), toolbox, 0)  # without a second warning
    toolbox.mate = partial(tools.cxBlend, alpha=0.5)  # `register` does not see it
    with pytest.warns(UserWarning, match="cxBlend treats each matrix as one number") as found:
        evolve(toolbox.population(n=4), toolbox, 0)
    assert len(found) == 1


@pytest.mark.parametrize("name", ["mutShuffleIndexes", "mutInversion", "cxMessyOnePoint", "cxOrdered"])
def test_an_operator_that_moves_matrices_is_refused_by_name(digits, name):
    alias = "mate" if name.startswith("cx") else "mutate"
    said = f"{alias}: {name} moves matrices to other places, but a network needs each at its own"
    with pytest.raises(ValueError, match=said):
        make_toolbox("mlp", digits, seed=1).register(alias, getattr(tools, name))
    for breeding in ("recipes", "plain"):
        with pytest.raises(ValueError, match=said):
            evolved(members(), plain_toolbox(**{alias: getattr(tools, name)}), breeding=breeding)


BOUNDED = [
    {"mates": 2},
    {"mates": 4},
    {"preset": "article", "fitness": "cross_entropy"},
    {"crossover": "average", "init": "normal", "elites": 2},
    {"crossover": "split", "sigma": SelfAdaptive(0.3, 0.01)},
]


def within(member, bounds):
    return bool((member.flat >= np.float32(bounds[0])).all() and (member.flat <= np.float32(bounds[1])).all())


@pytest.mark.parametrize("given", BOUNDED, ids=str)
def test_bounded_weights_have_the_same_bytes_by_recipes_plainly_and_resumed(digits, tmp_path, given):
    """As with the ``gene_space`` of PyGAD."""

    def toolbox():
        return make_toolbox("mlp", digits, seed=1, bounds=(-0.1, 0.05), **given)

    def run(ngen, **options):
        made = toolbox()
        population = made.population(n=6)
        found = evolve(population, made, ngen, **options)
        assert all(within(member, (-0.1, 0.05)) for member in population)
        return [member.flat.tobytes() for member in population], rows_of(found[1])

    assert all(within(member, (-0.1, 0.05)) for member in toolbox().population(n=4))
    whole = run(3)
    assert run(3, breeding="plain") == whole
    run(1, checkpoint=tmp_path / "kept")
    assert run(3, checkpoint=tmp_path / "kept") == whole
    made = make_toolbox("mlp", digits, seed=1, bounds=(-0.1, 0.06), **given)
    with pytest.raises(CheckpointError, match=r"individual.bounds was \[-0.1, 0.05\] when the run began, and is"):
        evolve(made.population(n=6), made, 4, checkpoint=tmp_path / "kept")


def test_bounded_weights_stay_so_in_deaps_loops_and_around_given_ones(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, bounds=(-0.2, 0.2))
    given = toolbox.population(n=1)[0]
    random.seed(1)
    population, _ = simple(toolbox.population(n=6), toolbox)
    assert all(within(member, (-0.2, 0.2)) for member in population)
    around = make_toolbox("mlp", digits, seed=1, bounds=(-0.1, 0.1), init=[*given]).population(n=2)
    assert all(within(member, (-0.1, 0.1)) for member in around)
    assert np.array_equal(around[0].flat, given.flat.clip(-0.1, 0.1))


def test_an_evolution_strategy_refuses_bounds(digits):
    with pytest.raises(ValueError, match="bounds needs preset='ga': 'es' has children of one centre"):
        make_toolbox("mlp", digits, seed=1, preset="es", bounds=(-1, 1))
    toolbox = make_toolbox("mlp", digits, seed=1, preset="es")
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.1, bounds=(-1, 1))
    with pytest.raises(ValueError, match="mutate: bounds are not for an evolution strategy"):
        evolve(toolbox.population(n=4), toolbox, 1)


def mapping(function, items):
    """A map that may be parallel."""
    return [function(item) for item in items]


def local():
    return lambda individual: sum_of_squares(individual)


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ({"clone": lambda individual: individual}, "clone is not deepcopy, and children of recipes are not cloned"),
        ({"evaluate": local()}, "evaluate cannot be pickled: .*local"),
        ({"mutate": partial(lambda individual: (individual,))}, "mutate cannot be pickled: .*lambda"),
        ({"mate": lambda a, b: (a, b)}, "mate or recombination_weights cannot be pickled: .*lambda"),
        ({"individual": lambda: members(1)[0]}, "individual cannot be pickled: .*lambda"),
    ],
)
def test_a_run_that_loses_its_recipes_says_why(registered, said):
    toolbox = wired(**registered)
    ways = []
    watch = Watch(lambda evolution: ways.append(evolution.breeding))
    evolved(toolbox.population(n=4), toolbox, callbacks=[watch])  # without a warning: the map is serial
    toolbox.register("map", mapping)
    with pytest.warns(
        UserWarning, match=f"the map sends weights instead of recipes, which takes longer: {said}"
    ) as found:
        evolved(toolbox.population(n=4), toolbox, callbacks=[watch])
    assert found[0].filename == __file__
    evolved(toolbox.population(n=4), toolbox, breeding="plain", callbacks=[watch])  # it is asked for
    assert set(ways) == {"plain"}
    toolbox = wired(map=mapping)
    evolved(toolbox.population(n=4), toolbox, callbacks=[watch])
    assert ways[-1] == "recipes"


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_a_folder_says_how_its_run_is_bred(tmp_path, breeding):
    toolbox = wired()
    with RunDirectory(tmp_path / "run") as directory:
        evolved(toolbox.population(n=4), toolbox, breeding=breeding, callbacks=[directory])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["breeding"] == breeding


@pytest.mark.parametrize("keyframes", [None, 0.0])
@pytest.mark.parametrize("kind", [lambda: tools.HallOfFame(4), tools.ParetoFront])
def test_a_hall_of_fame_is_kept_and_restored_at_resume(tmp_path, keyframes, kind):
    def run(ngen, **options):
        toolbox, hall = wired(elites=1), kind()
        evolve(toolbox.population(n=8), toolbox, ngen, seed=1, halloffame=hall, **options)
        keys = [fitness.wvalues for fitness in hall.keys]
        return [(type(member), member.flat.tobytes(), member.fitness.wvalues) for member in hall], keys

    kept = {"checkpoint": tmp_path / "kept", "keyframe_seconds": keyframes}
    for ngen in (2, 5, 5):
        assert run(ngen, **kept) == run(ngen)
    assert len(run(5)[0]) == (4 if kind is not tools.ParetoFront else 1)


class OwnHall:
    """A user's own hall of fame, of all that `evolve` needs of one."""

    def __init__(self):
        self.best = None

    def update(self, population):
        self.best = max(population, key=lambda member: member.fitness)


def test_a_hall_of_ones_own_needs_lists_under_a_checkpoint(tmp_path):
    class WithLists(OwnHall):
        def __init__(self):
            self.items, self.keys = [], []

        def update(self, population):
            self.items[:] = [max(population, key=lambda member: member.fitness)]
            self.keys[:] = [self.items[0].fitness]

    evolve(wired().population(n=4), wired(), 1, seed=1, halloffame=OwnHall())
    said = "^halloffame under a checkpoint needs lists items and keys, as .* has them: OwnHall lacks items and keys$"
    with pytest.raises(ValueError, match=said):
        evolve(wired().population(n=4), wired(), 1, seed=1, halloffame=OwnHall(), checkpoint=tmp_path / "own")
    halls = [WithLists() for _ in range(3)]
    for ngen, hall in zip((1, 2), halls, strict=False):
        evolve(wired().population(n=4), wired(), ngen, seed=1, halloffame=hall, checkpoint=tmp_path / "lists")
    evolve(wired().population(n=4), wired(), 2, seed=1, halloffame=halls[2])
    assert halls[1].items == halls[2].items


def test_a_hall_of_fame_that_comes_later_is_warned_of(tmp_path):
    toolbox, hall = wired(), tools.HallOfFame(3)
    evolved(toolbox.population(n=6), toolbox, checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="the run began without a hall of fame: it gets members from now on only"):
        evolve(toolbox.population(n=6), toolbox, 3, seed=1, halloffame=hall, checkpoint=tmp_path)
    assert {member.recipe.generation for member in hall} == {3}


def warm_populations():
    evolved_one = wired().population(n=8)
    evolve(evolved_one, wired(), 3, seed=1)
    rng = np.random.default_rng(1)
    by_hand = [Individual([rng.normal(size=shape) for shape in LAYOUT.shapes]) for _ in range(8)]
    read = wired().population(n=8)
    read[3].flat[0] = 7.0
    return {"evolved": evolved_one, "by hand": by_hand, "changed": read, "two": [*evolved_one[:3], *by_hand[:5]]}


@pytest.mark.parametrize("kind", ["evolved", "by hand", "changed", "two"])
@pytest.mark.parametrize(
    "options", [{}, {"elites": 2}, {"mates": 4, "mate": cxScanning}], ids=["pairs", "elites", "four"]
)
def test_a_warm_start_goes_by_recipes_to_the_same_bytes(tmp_path, kind, options):
    given = [copy.deepcopy(member) for member in warm_populations()[kind]]
    ways = []

    def run(ngen, population, **how):
        watch = Watch(lambda evolution: ways.append(evolution.breeding))
        found = evolve(population, wired(map=mapping, **options), ngen, seed=1, callbacks=[watch], **how)
        return [member.flat.tobytes() for member in found[0]], rows_of(found[1])

    whole = run(5, copy.deepcopy(given), breeding="plain")
    ways.clear()
    assert run(5, copy.deepcopy(given)) == whole
    assert run(5, warm_populations()[kind]) == whole
    for keyframes in (None, 0.0):
        kept = {"checkpoint": tmp_path / str(keyframes), "keyframe_seconds": keyframes}
        run(2, copy.deepcopy(given), **kept)
        if keyframes is None:
            with pytest.raises(CheckpointError, match="the population's seed or weights"):
                run(5, copy.deepcopy(given[::-1]), **kept)
        assert run(5, copy.deepcopy(given), **kept) == whole
    assert set(ways) == {"recipes"}


def with_own_sigmas(elites=0):
    own = partial(mutGaussianAdaptive, sigma=SelfAdaptive(0.3, 0.01), noise=TABLE)
    return wired(map=mapping, mutate=own, elites=elites)


def own_sigmas():
    evolved_one, toolbox, mixed = with_own_sigmas().population(n=8), with_own_sigmas(), wired().population(n=8)
    evolve(evolved_one, toolbox, 4, seed=1)
    for place, member in enumerate(mixed[:5]):
        member.strategy = 0.1 + place / 10  # the member stays light
    return {"evolved": evolved_one, "set": mixed, "some": [*mixed[5:], *map(copy.deepcopy, evolved_one[:5])]}


@pytest.mark.parametrize("kind", ["evolved", "set", "some"])
@pytest.mark.parametrize("elites", [0, 2])
def test_a_warm_start_keeps_the_sigma_of_each_member(tmp_path, kind, elites):
    def run(ngen, population, **how):
        ways, hall = [], tools.HallOfFame(3)
        watch = Watch(lambda evolution: ways.append(evolution.breeding))
        found = evolve(population, with_own_sigmas(elites), ngen, seed=1, callbacks=[watch], halloffame=hall, **how)
        members = [(member.flat.tobytes(), getattr(member, "strategy", 0.3)) for member in (*found[0], *hall)]
        return (members, rows_of(found[1])), set(ways)

    whole, _ = run(5, own_sigmas()[kind], breeding="plain")
    assert len({sigma for _, sigma in whole[0]}) > 6
    assert run(5, own_sigmas()[kind]) == (whole, {"recipes"})
    for keyframes in (None, 0.0):
        kept = {"checkpoint": tmp_path / str(keyframes), "keyframe_seconds": keyframes}
        run(0 if keyframes is None else 2, own_sigmas()[kind], **kept)
        other = [copy.deepcopy(member) for member in own_sigmas()[kind]]
        other[7].strategy = 0.25
        if keyframes is None:
            with pytest.raises(CheckpointError, match="the population's seed or weights and sigmas"):
                run(5, other, **kept)
        assert run(5, own_sigmas()[kind], **kept) == (whole, {"recipes"})


def test_members_with_an_attribute_of_their_own_are_bred_the_plain_way():
    for drawn in (True, False):
        population, toolbox = wired().population(n=4), wired(map=mapping)
        population[2].tag = "own"
        if not drawn:
            population = [copy.deepcopy(member) for member in population]
        with pytest.warns(UserWarning, match="the population has an attribute 'tag', and recipes have none"):
            evolve(population, toolbox, 0, seed=1)
        assert population[2].tag == "own"


def test_a_warm_start_on_a_network_is_resumed_with_the_same_weights(digits, tmp_path):
    def toolbox():
        made = make_toolbox("mlp", digits, seed=1)
        made.register("map", mapping)
        return made

    given = [copy.deepcopy(member) for member in toolbox().population(n=4)]
    evolve(copy.deepcopy(given), toolbox(), 1, checkpoint=tmp_path, keyframe_seconds=0.0)
    another = pytest.raises(CheckpointError, match="the population's seed or weights")
    with pytest.warns(UserWarning, match="is of another run"), another:
        evolve(copy.deepcopy(given[::-1]), toolbox(), 3, checkpoint=tmp_path)
    resumed = evolve(copy.deepcopy(given), toolbox(), 3, checkpoint=tmp_path)[1]
    assert rows_of(resumed) == rows_of(evolve(given, toolbox(), 3, breeding="plain")[1])


def test_a_warm_start_that_cannot_go_by_recipes_says_why(monkeypatch):
    population = warm_populations()["by hand"]
    monkeypatch.setattr("deap_nn.breeding.founders.free_bytes", lambda place: 0)
    with pytest.warns(UserWarning, match=r"longer: the population takes 0.0 MiB, and the cache has room for 0.0"):
        evolve(population, wired(map=mapping), 1, seed=1)
