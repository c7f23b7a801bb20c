"""The algorithms by name, in DEAP's loops and under `evolve`; nothing that is registered is passed over."""

import copy
import functools
import pickle
import random

import numpy as np
import pytest
from deap import algorithms, tools
from keras_models import dense, labels, x_of
from wirings import logged, scored

import deap_nn
from deap_nn import (
    Callback,
    SelfAdaptive,
    cxMask,
    elementwise,
    evolve,
    make_toolbox,
    usual_step,
)
from deap_nn.algorithms.toolbox import presets
from deap_nn.core.errors import EvaluationError
from deap_nn.operators.describe import describe_algorithm

MEMBERS, GENERATIONS = 12, 4


def cx_rows(ind1, ind2, *, rng):
    """Exchange whole rows of each pair of matrices, as the how-to does."""
    for a, b in zip(ind1, ind2, strict=True):
        rows = rng.random(len(a)) < 0.5
        a[rows], b[rows] = b[rows], a[rows].copy()
    return ind1, ind2


class Counted:
    """A function that counts its calls, and with how many individuals."""

    def __init__(self, function):
        self.function, self.calls, self.given = function, 0, set()

    def __call__(self, *individuals, **keywords):
        self.calls += 1
        self.given.add(len(individuals))
        return self.function(*individuals, **keywords)


CROSSOVERS = {
    "cxUniform": (tools.cxUniform, {"indpb": 0.5}),
    "cxMask": (cxMask, {"rng": np.random.default_rng(1)}),
    "cxRows": (cx_rows, {"rng": np.random.default_rng(1)}),
}


@pytest.mark.parametrize("name", CROSSOVERS)
def test_a_crossover_of_two_that_is_registered_again_gets_two(digits, name):
    function, words = CROSSOVERS[name]
    found = []
    for breeding in ("recipes", "plain"):
        toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
        assert toolbox.mates == 4
        toolbox.register("mate", function, **words)
        found.append(logged(*evolve(toolbox.population(n=MEMBERS), toolbox, 2, breeding=breeding)))
    assert found[0] == found[1]
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    assert found[0] != logged(*evolve(toolbox.population(n=MEMBERS), toolbox, 2))
    counted = Counted(function)
    toolbox.register("mate", counted, **words)
    random.seed(1)
    algorithms.eaSimple(toolbox.population(n=MEMBERS), toolbox, cxpb=1.0, mutpb=1.0, ngen=2, verbose=False)
    assert (counted.calls, counted.given) == (MEMBERS, {2})


def test_a_crossover_of_any_number_gets_as_many_as_the_toolbox_says(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)

    def several(*individuals, rng):
        seen.add(len(individuals))
        return individuals

    seen: set[int] = set()
    toolbox.register("mate", several, rng=None)
    evolve(toolbox.population(n=MEMBERS), toolbox, 1, breeding="plain")
    assert seen == {4}
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.decorate("mate", tools.History().decorator)  # whose function takes anything
    counted = Counted(toolbox.mate.func)
    toolbox.mate = functools.partial(counted, **toolbox.mate.keywords)
    toolbox.mate.takes_many = True
    evolve(toolbox.population(n=MEMBERS), toolbox, 1, breeding="plain")
    assert counted.given == {4}


@pytest.mark.parametrize("opposites", [0.0, 0.5])
def test_every_child_goes_through_mate_and_mutate_and_every_parent_through_select(digits, opposites):
    """In the plain way, without projected steps, which move the parents before; its bytes are those of recipes."""
    words = {"opposites": opposites, "projected": False}
    by_recipes = make_toolbox("mlp", digits, seed=1, batch_size=16, **words)
    expected = logged(*evolve(by_recipes.population(n=MEMBERS), by_recipes, GENERATIONS))
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, **words)
    mated, mutated, selected, checked = [], [], [], []

    def mating(function):
        @functools.wraps(function)
        def noted(*individuals, **keywords):
            mated.append([(id(individual), hash(individual.flat.tobytes())) for individual in individuals])
            return function(*individuals, **keywords)

        return noted

    def mutating(function):
        @functools.wraps(function)
        def noted(individual, **keywords):
            mutated.append(id(individual))
            return function(individual, **keywords)

        return noted

    def selecting(function):
        @functools.wraps(function)
        def noted(individuals, k, **keywords):
            chosen = function(individuals, k, **keywords)
            among = {id(individual) for individual in individuals}
            selected.append((among, [(id(parent), hash(parent.flat.tobytes())) for parent in chosen], k))
            return chosen

        return noted

    toolbox.decorate("mate", mating)
    toolbox.decorate("mutate", mutating)
    toolbox.decorate("select", selecting)

    class Children(Callback):
        def on_generation(self, evolution):
            members = list(map(id, evolution.population))
            if evolution.generation:
                groups = mated[-MEMBERS // 4 :]
                assert [child for group in groups for child, _ in group] == members
                assert all(len(group) == 4 for group in groups)
                assert mutated[-MEMBERS:] == members
                among, chosen, count = selected[-1]
                assert count == len(chosen) == MEMBERS
                assert among == self.members
                others = {parent for parent, _ in chosen} - among  # the opposites of members
                assert bool(others) == (opposites > 0 and evolution.generation > 1)
                # What was crossed has the weights of those that were selected, each in its place.
                assert [weights for group in groups for _, weights in group] == [weights for _, weights in chosen]
                assert len({weights for _, weights in chosen}) > 4
                checked.append(evolution.generation)
            self.members = set(members)

    found = logged(
        *evolve(toolbox.population(n=MEMBERS), toolbox, GENERATIONS, breeding="plain", callbacks=[Children()])
    )
    assert found == expected
    assert (len(mated), len(mutated), len(selected)) == (MEMBERS // 4 * GENERATIONS, MEMBERS * GENERATIONS, GENERATIONS)
    assert checked == list(range(1, GENERATIONS + 1))


def test_the_best_is_in_clearly_more_groups():
    """Under the boost of `ga` as it is; of 25 groups the best is in 9.7 by a boost of 2, and in 5.6 by none."""

    def groups(**arguments):
        toolbox = make_toolbox(dense(), (x_of(), labels()), seed=1, batch_size=4, **arguments)
        _, logbook = evolve(toolbox.population(n=100), toolbox, 30)
        assert logbook[0]["best_pairs"] == 0
        return toolbox.select.keywords["boost"], np.array(logbook.select("best_pairs")[1:])

    (boost, boosted), (none, plain) = groups(), groups(boost=1.0)
    assert (boost, none) == (2.0, 1.0)
    error = np.sqrt((boosted.var(ddof=1) + plain.var(ddof=1)) / 30)
    assert boosted.mean() - plain.mean() > 5 * error
    assert boosted.mean() > 1.5 * plain.mean() > 0


def test_best_pairs_counts_the_groups_of_the_best(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, elites=2)
    best, counted = [], []

    class Count(Callback):
        def on_generation(self, evolution):
            recipes = [member.recipe for member in evolution.population]
            if evolution.generation:
                groups = {recipe.place // 4: set(recipe.parents) for recipe in recipes if not recipe.copied}
                counted.append(sum(best[-1] in group for group in groups.values()))
                assert evolution.row["best_pairs"] == counted[-1]
            best.append(max(evolution.population, key=lambda member: member.fitness).recipe.id)

    evolve(toolbox.population(n=17), toolbox, GENERATIONS, callbacks=[Count()])
    assert sum(counted) > 0


def in_turn(vary):
    """A loop of a user's own, which gives each generation to a function that selects and varies."""

    def loop(population, toolbox):
        logbook = tools.Logbook()
        scored(toolbox, population)
        logbook.record(gen=0)
        for generation in range(1, 4):
            population = vary(population, toolbox)
            scored(toolbox, [individual for individual in population if not individual.fitness.valid])
            logbook.record(gen=generation)
        return population, logbook

    return loop


def written_out(population, toolbox):
    """A generation as DEAP's tutorial has it."""
    offspring = list(map(toolbox.clone, toolbox.select(population, len(population))))
    for child1, child2 in zip(offspring[::2], offspring[1::2], strict=True):
        if random.random() < 0.9:
            toolbox.mate(child1, child2)
            del child1.fitness.values, child2.fitness.values
    for mutant in offspring:
        if random.random() < 0.9:
            toolbox.mutate(mutant)
            del mutant.fitness.values
    return offspring


LOOPS = {
    "eaSimple": lambda population, toolbox: algorithms.eaSimple(population, toolbox, 0.9, 0.9, 3, verbose=False),
    "eaMuPlusLambda": lambda population, toolbox: algorithms.eaMuPlusLambda(
        population, toolbox, 8, 12, 0.5, 0.4, 3, verbose=False
    ),
    "eaMuCommaLambda": lambda population, toolbox: algorithms.eaMuCommaLambda(
        population, toolbox, 8, 12, 0.5, 0.4, 3, verbose=False
    ),
    "varAnd": in_turn(lambda population, toolbox: algorithms.varAnd(toolbox.select(population, 12), toolbox, 0.9, 0.9)),
    "varOr": in_turn(
        lambda population, toolbox: algorithms.varOr(toolbox.select(population, 8), toolbox, 12, 0.5, 0.4)
    ),
    "a loop written out": in_turn(written_out),
}


@pytest.mark.parametrize("preset", ["ga", "article", "mask"])
@pytest.mark.parametrize("loop", LOOPS)
def test_deaps_loops_run_on_pairs(digits, preset, loop):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, preset=preset)
    calls = {name: Counted(getattr(toolbox, name).func) for name in ("mate", "mutate")}
    for name, counted in calls.items():
        toolbox.register(name, counted, **getattr(toolbox, name).keywords)
    random.seed(1)
    population, logbook = LOOPS[loop](toolbox.population(n=12), toolbox)
    assert len(logbook) == 4
    assert len(population) in (8, 12)
    assert all(individual.fitness.valid for individual in population)
    assert calls["mate"].given == {2}
    assert calls["mutate"].given == {1}
    assert toolbox.clock.generation == toolbox.evaluate.func.generation == 3
    assert toolbox.clock.sigma != 0.1  # it follows the error


@pytest.mark.parametrize("preset", ["ga", "article", "mask"])
def test_generate_and_update_are_said_to_be_of_a_strategy(digits, preset):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, preset=preset)
    said = r'^generate: a genetic algorithm crosses parents, by eaSimple for example; .*preset="es"\) has generate$'
    with pytest.raises(AttributeError, match=said):
        algorithms.eaGenerateUpdate(toolbox, ngen=2, verbose=False)
    with pytest.raises(AttributeError, match=r'^update: .*preset="es"\) has update$'):
        toolbox.update([])
    assert not hasattr(toolbox, "generate")
    assert not hasattr(pickle.loads(pickle.dumps(toolbox)), "update")
    with pytest.raises(AttributeError, match=r"^'MadeToolbox' object has no attribute 'nothing'$"):
        toolbox.nothing  # noqa: B018  (it raises)
    toolbox.register("generate", list)  # such as DEAP's CMA-ES, which is a user's to call
    assert toolbox.generate() == []


@pytest.mark.parametrize("loop", LOOPS)
def test_deaps_loops_of_pairs_say_that_a_strategy_has_none(digits, loop):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, preset="es")
    with pytest.raises(
        AttributeError,
        match=r'^(mate|select): an evolution strategy has no .*; eaGenerateUpdate runs it, .*preset="ga"',
    ):
        LOOPS[loop](toolbox.population(n=12), toolbox)


def test_elites_are_named_where_they_live_on(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, elites=3)
    assert describe_algorithm(toolbox, 20).find("(selRankBoosted), the best 3 live on, parents moved") > 0
    assert "live on" not in describe_algorithm(toolbox, 20, mates=2)  # as DEAP's loops run it


def test_a_clone_that_is_registered_again_is_called(digits):
    toolbox, calls = make_toolbox("mlp", digits, seed=1, batch_size=16), []

    def clone(individual):
        calls.append(individual)
        return copy.deepcopy(individual)

    expected = logged(*evolve(toolbox.population(n=8), toolbox, 2))
    toolbox.register("clone", clone)
    assert logged(*evolve(toolbox.population(n=8), toolbox, 2)) == expected
    assert len(calls) == 16


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
@pytest.mark.parametrize(("result", "got"), [((), "0"), (None, "NoneType"), (5, "int")])
def test_a_crossover_that_returns_something_else_is_named(digits, breeding, result, got):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("mate", functools.partial(returning, result))
    said = f"mate must return its 2 individuals, got {got}"
    with pytest.raises((ValueError, EvaluationError), match=said):
        evolve(toolbox.population(n=8), toolbox, 1, breeding=breeding)


def returning(result, ind1, ind2):
    return result


def mutated(result, individual):
    return result


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_a_forgotten_return_is_named(digits, breeding):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("mate", functools.partial(returning, None))
    with pytest.raises(
        (ValueError, EvaluationError), match=r"2 individuals, got NoneType from .*: end it with a return"
    ):
        evolve(toolbox.population(n=4), toolbox, 1, breeding=breeding)
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    said = r"mutate must return its individual in a tuple, got {}: end mutated with return \(individual,\)"
    for result, got in ((None, "NoneType"), (toolbox.individual(), "Individual"), ((), "tuple")):
        toolbox.register("mutate", functools.partial(mutated, result))
        with pytest.raises((ValueError, EvaluationError), match=said.format(got)):
            evolve(toolbox.population(n=4), toolbox, 1, breeding=breeding)


def test_so_is_that_of_an_individual(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("individual", lambda: None)
    with pytest.raises(
        TypeError, match=r"^individual must return an individual, not None: end <lambda> with a return$"
    ):
        toolbox.population(n=4)


def test_so_is_that_of_a_selection_in_every_loop(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("select", lambda individuals, k: None)
    for loop in (
        lambda population: evolve(population, toolbox, 1),
        lambda population: algorithms.eaSimple(population, toolbox, 0.5, 0.5, 1, verbose=False),
    ):
        with pytest.raises(TypeError, match=r"^select must return a list of individuals, not None: end <lambda> with"):
            loop(toolbox.population(n=4))


def test_verbose_prints_the_algorithm_and_the_stream(digits, capsys):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    evolve(toolbox.population(n=12), toolbox, 2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "genetic algorithm (ga): four parents crossed by a random mask (cxScanning), Gaussian mutation whose sigma is "
        "0.128 times the error of the best, from its cross-entropy (mutGaussianAdaptive), selection by rank of the "
        "best 5 and the opposites of the worst 5 with pressure 1.5, the best boosted by 2 (selRankBoosted), parents "
        "moved along the inputs of dense layers, founders related by a spread of 0.5, scored with centred layers on "
        "stratified mini-batches"
    )
    assert lines[1].split("\t")[0].strip() == "gen"
    assert [line.split("\t")[0].strip() for line in lines[2:]] == ["0", "1", "2"]
    evolve(toolbox.population(n=12), toolbox, 1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"preset": "es"},
            "evolution strategy (es): children of one centre, which moves towards the best 6 of 12",
        ),
        ({"preset": "article"}, "genetic algorithm (article): two parents crossed by a 0/1 mask (cxMask)"),
        ({"crossover": "units"}, "two parents crossed (cxUnits)"),
        ({"crossover": "none"}, "no crossover"),
        ({"tournsize": 3}, "selection by selTournament"),
        ({"sigma": 0.2}, "Gaussian mutation whose sigma is 0.2 (mutGaussianAdaptive)"),
        (
            {"sigma": SelfAdaptive(0.1, 0.005)},
            "each member's own, from 0.1 and at least 0.005 (self-adaptive)",
        ),
        (
            {"preset": "es", "sampling": "mirrored"},
            "towards the better of each mirrored pair with a step by the size of",
        ),
        ({}, "(selRankBoosted), parents moved along the inputs of dense layers, founders related by a spread of 0.5"),
        ({"projected": False}, "(selRankBoosted), founders related by a spread of 0.5"),
        ({"preset": "es"}, "by the size of the run, projected onto the inputs of dense layers, Gaussian"),
        ({}, ", scored with centred layers on stratified mini-batches"),
        ({"preset": "article", "centred": True}, ", scored with centred layers"),
        ({"preset": "es", "centred": False}, ", scored on stratified mini-batches"),
    ],
)
def test_the_sentence_names_what_runs(digits, arguments, said):
    assert said in describe_algorithm(make_toolbox("mlp", digits, seed=1, batch_size=16, **arguments), 12)


def test_the_sentence_names_a_function_of_a_users_own(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("mate", cx_rows)
    toolbox.register("mutate", elementwise(tools.mutShuffleIndexes), indpb=0.5)
    said = describe_algorithm(toolbox, 12)
    mutation = "mutation by mutShuffleIndexes, weight by weight"
    assert (
        f"two parents crossed (cx_rows), {mutation}, selection by rank of the best 5 and the opposites of the worst 5"
        in said
    )


def test_former_ways_work_with_a_warning(digits):
    with pytest.warns(DeprecationWarning, match=r"preset\(\) is deprecated: make_toolbox takes preset='default'"):
        former = deap_nn.preset("default", population=12, generations=4, matrices=2)
    assert former["step"] == usual_step(12, 4, 2)
    with pytest.warns(DeprecationWarning, match="crossover='mean' is deprecated: take preset='es'"):
        toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, **former)
    for name, value in (("bounds", (-1, 1)), ("tournsize", 3)):
        refused = pytest.raises(ValueError, match=f"^{name} is not for crossover 'mean', got")
        with pytest.warns(DeprecationWarning, match="take preset='es'"), refused:
            make_toolbox("mlp", digits, seed=1, crossover="mean", **{name: value})
    now = make_toolbox("mlp", digits, seed=1, batch_size=16, preset="es", centred=False, stratified=False)
    expected = logged(*evolve(now.population(n=12), now, 4))
    assert logged(*evolve(toolbox.population(n=12), toolbox, 4)) == expected
    assert algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 0.9, 2, verbose=False)[1]
    with pytest.warns(DeprecationWarning, match="PRESETS is deprecated"):
        former = deap_nn.PRESETS["default"]
    assert (former["crossover"], former["centred"], former["stratified"]) == ("mean", False, False)
    with pytest.warns(DeprecationWarning, match="PRESETS is deprecated"):
        assert set(presets.PRESETS) == {"default", "ga", "es", "article", "mask"}
    with pytest.warns(DeprecationWarning, match="preset 'default' is now called 'es'"):
        make_toolbox("mlp", digits, seed=1, batch_size=16, preset="default")
    with pytest.warns(DeprecationWarning, match=r"preset\(\) is deprecated"):
        two = deap_nn.preset("mask", population=40, generations=4, matrices=2)
    with pytest.warns(DeprecationWarning, match=r"preset\(\) is deprecated"):
        four = deap_nn.preset("ga", population=40, generations=4, matrices=2)
    assert (four["parents"], four["opposites"], four["spread"], four["centred"]) == (
        10,
        0.0,
        1.0,
        False,
    )  # for all models
    mask = make_toolbox("mlp", digits, seed=1, batch_size=16, preset="mask")
    given = make_toolbox("mlp", digits, seed=1, batch_size=16, **two)
    found = [logged(*evolve(made.population(n=40), made, 3)) for made in (mask, given)]
    assert found[0] == found[1]
    with pytest.raises(AttributeError, match="has no attribute 'NOTHING'"):
        deap_nn.NOTHING  # noqa: B018  (it raises)
    with pytest.raises(AttributeError, match="has no attribute 'NOTHING'"):
        presets.NOTHING  # noqa: B018  (it raises)
