"""Scripts in the form of DEAP's documentation, with the mistakes, operators and decorators that such scripts have."""

import pickle
import random
from functools import partial

import numpy as np
import pytest
from conftest import well
from deap import algorithms, base, creator, gp, tools
from reference_loop import reference
from wirings import evolve_toolbox, members, passing, plain_toolbox, result, simple, sum_of_squares, wired

from deap_nn import GA, Individual, WeightList, elementwise, evolve, make_toolbox, open_map
from deap_nn.operators.describe import describe_algorithm

creator.create("LeastInScripts", base.Fitness, weights=(-1.0,))
creator.create("StrategicInScripts", WeightList, fitness=creator.LeastInScripts, strategy=None)


def evolved(population, toolbox, **options):
    return evolve(population, toolbox, 2, seed=1, **options)


def assigning(value):
    def mutate(individual):
        individual[0] = value
        return (individual,)

    return mutate


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (3.0, "got 3.0"),
        (np.zeros((3, 3)), r"got float64 of the shape \(3, 3\)"),
        (np.zeros((3, 2), np.float32), r"got float32 of the shape \(3, 2\)"),
    ],
)
def test_a_matrix_is_replaced_only_by_one_of_its_kind(value, got):
    random.seed(1)
    toolbox = plain_toolbox(mate=tools.cxTwoPoint, mutate=assigning(value))
    population = [Individual([member[0], np.zeros(3)]) for member in members()]
    for loop in (simple, evolved):
        with pytest.raises(
            ValueError, match=rf"individual\[0\] must be float32 of the shape \(3, 3\), {got}"
        ) as raised:
            loop(population, toolbox)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=r"keeps its 1 matrices: got 0 for 1 \(an operator that changes lengths"):
        members()[0][0:1] = []


def test_a_population_of_another_toolbox_is_refused_by_a_line(digits):
    toolbox, other = (make_toolbox(model, digits, seed=1) for model in ("mlp", "lenet5"))
    shapes = r"\(\(784, 64\), \(64,\), .*\) of the toolbox, got \(\(5, 5, 1, 6\), \(6,\), .*\)$"
    for population in (other.population(n=4), [*toolbox.population(n=3), *other.population(n=1)]):
        with pytest.raises(ValueError, match=f"^population must have the shapes {shapes}"):
            evolved(population, toolbox)


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
    how = "2 parents crossed by elementwise cxTwoPoint(), elementwise mutGaussian(mu=0.0, sigma=0.1, "
    assert how in describe_algorithm(toolbox)


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
def test_elementwise_operators_give_the_bytes_of_the_plain_loop(mate, mutate):
    toolbox = wired(mate=pickle.loads(pickle.dumps(mate)), mutate=mutate)
    weights, rows = result(toolbox, n=6, ngen=3)
    assert (weights, rows) == reference(toolbox, n=6, ngen=3)
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


@pytest.mark.parametrize("loop", [simple, evolved])
def test_a_decorator_of_an_elementwise_operator_gets_the_individuals(loop):
    random.seed(1)
    exchanging_nothing = elementwise(tools.cxUniform, indpb=0.0)
    toolbox = plain_toolbox(mate=exchanging_nothing, mutate=elementwise(tools.mutGaussian, **GAUSSIAN))
    for name, limit in (("mate", np.inf), ("mutate", 0)):
        toolbox.decorate(name, gp.staticLimit(key=lambda member: np.abs(member.flat).max(), max_value=limit))
    population = members()
    before = {member.flat.tobytes() for member in population}
    loop(population, toolbox)
    assert before >= {member.flat.tobytes() for member in population}
    assert "2 parents crossed by elementwise cxUniform(indpb=0.0), elementwise mutGau" in describe_algorithm(toolbox)


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


@pytest.mark.parametrize("strategy", [lambda: [0.5] * 12, lambda: WeightList([np.full((3, 4), 0.5)])])
def test_the_strategies_of_an_evolution_strategy_are_inherited(strategy):
    random.seed(1)
    toolbox = strategic(strategy)
    sizes = {"mu": 6, "lambda_": 20, "cxpb": 0.6, "mutpb": 0.3, "ngen": 12}
    population, _ = algorithms.eaMuCommaLambda(toolbox.population(n=6), toolbox, **sizes, verbose=False)
    assert type(population[0].strategy) is type(strategy())
    numbers = [np.ravel([*map(np.ravel, member.strategy)]) for member in population]
    assert {len(number) for number in numbers} == {12}
    assert len({float(number[0]) for number in numbers}) > 1
    assert min(member.fitness.values[0] for member in population) < 3


def test_evolve_refuses_operators_that_change_a_strategy():
    for operator in ({"mate": elementwise(tools.cxESBlend)}, {"mutate": elementwise(tools.mutESLogNormal)}):
        toolbox = wired(**operator)
        with pytest.raises(ValueError, match=r"changes the strategy of each individual, .*: deap.algorithms.eaSimple"):
            evolved(toolbox.population(n=4), toolbox)


def test_functions_without_a_name_go_to_processes():
    registered = {
        "evaluate": lambda individual: sum_of_squares(individual),
        "mutate": partial(lambda individual: (individual,)),
        "mate": lambda first, second: (second, first),
        "individual": lambda rng: Individual([rng.standard_normal((3, 3))]),
    }
    toolbox = wired(**registered)
    for name in registered:
        toolbox.decorate(name, passing)
    expected = reference(toolbox, n=4, ngen=2)
    with open_map("processes", workers=2) as map_:
        toolbox.register("map", map_)
        assert result(toolbox, n=4, ngen=2) == expected


def test_a_clone_of_ones_own_is_refused():
    toolbox = wired(clone=lambda individual: individual)
    said = "clone is not deepcopy, and children of recipes are not cloned: deap.algorithms.eaSimple breeds whole"
    with pytest.raises(ValueError, match=said):
        evolved(toolbox.population(n=4), toolbox)


SCRIPT = """
from deap import tools
from deap_nn import evolve, make_toolbox, open_map

toolbox = make_toolbox("mlp", "mnist5k", seed=1, batch_size=16)
fitness = toolbox.evaluate


@tools.DeltaPenalty(lambda individual: True, 100.0)
def evaluate(individual):
    return fitness(individual)


toolbox.register("evaluate", evaluate)
if __name__ == "__main__":
    with open_map("processes", workers=2) as map_:
        toolbox.register("map", map_)
        population, logbook = evolve(toolbox.population(n=6), toolbox, 2)
    print(logbook.select("min"))
"""


def test_a_script_decorates_its_evaluation_at_the_top(run, tmp_path):
    script = tmp_path / "penalised.py"
    script.write_text(SCRIPT)
    answer = well(run("-W", "error", script))
    _, logbook = evolve_toolbox(make_toolbox("mlp", "mnist5k", GA(casewise=False), seed=1, batch_size=16), n=6, ngen=2)
    assert answer.stdout == f"{logbook.select('min')}\n"
