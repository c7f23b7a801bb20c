"""The loop: the same result for any map, and what is registered is what runs."""

import gc
import math
import os
import random
import signal
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from deap import tools
from wirings import members, plain_toolbox

from deap_nn import (
    GA,
    Annealed,
    Callback,
    Individual,
    evolve,
    mutGaussianAdaptive,
)
from deap_nn.algorithms.loop import COLUMNS
from deap_nn.core.errors import EvaluationError, MapError
from deap_nn.core.logbooks import rows_of
from deap_nn.process import signals


def run(toolbox, ngen=4, n=8, seed=1, **keywords):
    return evolve(toolbox.population(n=n, start=0), toolbox, ngen, seed=seed, **keywords)


def sum_of_squares(individual):
    return (float((individual.flat**2).sum()),)


def test_the_logbook_has_the_contracts_columns(toolbox):
    population, logbook = run(toolbox)
    assert tuple(logbook.header) == COLUMNS
    assert logbook.select("gen") == [0, 1, 2, 3, 4]
    assert logbook.select("nevals") == [8] * 5
    last = logbook[-1]
    values = [individual.fitness.values[0] for individual in population]
    assert (last["min"], last["max"]) == (min(values), max(values))
    assert last["avg"] == pytest.approx(np.mean(values))
    assert last["std"] == pytest.approx(np.std(values))
    assert last["sigma"] == pytest.approx(0.128 * (1 - math.exp(-logbook[-2]["min"])))
    best = min(population, key=lambda individual: individual.fitness.values)
    assert {key: last[key] for key in ("train_error", "val_error")} == toolbox.assess(best, 4)


def test_one_seed_one_result_for_any_map_and_twice_on_one_toolbox(toolbox, mlp):
    random.seed(1)
    before = random.getstate()
    population, logbook = run(toolbox)
    assert random.getstate() == before
    random.seed(2)
    again, repeated = run(toolbox)
    assert (again, rows_of(repeated)) == (population, rows_of(logbook))
    with ThreadPoolExecutor(3) as pool:
        toolbox.register("map", pool.map)
        threaded, other = run(toolbox)
    assert (threaded, rows_of(other)) == (population, rows_of(logbook))
    toolbox.register("map", map)
    assert run(mlp(GA(parents=4), seed=2), seed=2)[0] != population


def test_learning_lowers_the_error_on_made_digits(mlp):
    toolbox = mlp(GA(parents=10))
    _, logbook = run(toolbox, ngen=25, n=40)
    assert logbook[-1]["val_error"] < 0.5 * logbook[0]["val_error"]


def test_probabilities_of_a_child_are_met():
    toolbox, parents = plain_toolbox(select=lambda population, k: population[:k]), members(400)

    def bred(cxpb, mutpb):
        population = members(400)
        evolve(population, toolbox, 1, seed=1, cxpb=cxpb, mutpb=mutpb)
        return population

    assert bred(0, 0) == parents
    pairs = sum(child != parent for child, parent in zip(bred(0.3, 0)[::2], parents[::2], strict=True))
    assert abs(pairs - 60) < 5 * math.sqrt(200 * 0.3 * 0.7)
    changed = sum(child != parent for child, parent in zip(bred(0, 0.3), parents, strict=True))
    assert abs(changed - 120) < 5 * math.sqrt(400 * 0.3 * 0.7)
    assert abs(changed - 200) > 5 * math.sqrt(400 * 0.3 * 0.7)


def test_deaps_operators_and_replaced_ones_are_used():
    used = []

    def mate(a, b):
        used.append("mate")
        return tools.cxTwoPoint(a, b)

    def mutate(individual):
        used.append("mutate")
        individual[0] *= 0.5
        return (individual,)

    population = [Individual([np.ones((2, 2)) * i, np.ones(3) * i]) for i in range(1, 7)]
    before = random.getstate(), str(np.random.get_state(legacy=False))  # noqa: NPY002  (the global state must not change)
    evolve(population, plain_toolbox(mate=mate, mutate=mutate), 2, seed=1)
    assert used.count("mate") >= 6 * 2  # once for each child at least
    assert used.count("mutate") >= 6 * 2
    assert (random.getstate(), str(np.random.get_state(legacy=False))) == before  # noqa: NPY002  (the global state must not change)


@pytest.mark.parametrize("fate", ["lost in a clean-up", "made another exception by an import"])
def test_an_interrupt_that_came_to_nothing_ends_the_run(toolbox, fate):
    class Interrupted(Callback):
        def on_generation(self, evolution):
            if evolution.generation == 3:
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except KeyboardInterrupt:
                    if fate.startswith("made"):
                        raise AttributeError("partially initialized module") from None

        def on_end(self, evolution):
            self.end = evolution.generation, evolution.interrupted

    watching = Interrupted()
    with signals.interruptible():
        with pytest.raises(KeyboardInterrupt):
            run(toolbox, ngen=20, callbacks=[watching])
        assert watching.end == (3, True)
        assert len(run(toolbox, ngen=2)[1]) == 3  # who has caught it may go on


def test_statistics_and_hall_of_fame_see_every_generation():
    statistics = tools.MultiStatistics(size=tools.Statistics(len), fitness=tools.Statistics(lambda i: i.fitness.values))
    statistics.register("largest", max)
    hall = tools.HallOfFame(1)
    _, logbook = evolve(members(), plain_toolbox(), 5, seed=1, stats=statistics, halloffame=hall)
    assert len(logbook.chapters["size"]) == 6
    assert hall[0].fitness.values[0] == min(logbook.select("min"))


def test_a_run_does_not_hold_its_founders(toolbox):
    population = toolbox.population(n=6)
    founders, alive = [weakref.ref(member) for member in population], []

    def count(evolution):
        gc.collect()
        alive.append(sum(founder() is not None for founder in founders))

    evolve(population, toolbox, 2, callbacks=[count])
    assert alive[-1] == 0


def test_settings_that_a_script_keeps_in_its_own_toolbox_are_its_own():
    def run(**own):
        annealed = Annealed(0.5, 0.05)
        toolbox = plain_toolbox(mutate=partial(mutGaussianAdaptive, sigma=annealed))
        vars(toolbox).update(own)
        return evolve(members(), toolbox, 4, seed=1)[1].select("sigma")

    assert run(generations=50, seed=7, members=3, algorithm="mine", clock=None) == run()
    toolbox = plain_toolbox()
    toolbox.seed = 7
    with pytest.raises(ValueError, match="seed must be given: only a toolbox by make_toolbox has one"):
        evolve(members(), toolbox, 1)


def test_an_error_under_a_map_that_does_all_at_once_is_named():
    def fails(individual):
        raise ZeroDivisionError("of course")

    toolbox = plain_toolbox(evaluate=fails, map=lambda function, items: list(map(function, items)))
    with pytest.raises(EvaluationError, match="generation 0, child 0: ZeroDivisionError: of course"):
        evolve(members(), toolbox, 1, seed=1)
    toolbox.register("map", lambda function, items: (_ for _ in ()).throw(MapError("the cluster is gone")))
    with pytest.raises(MapError, match="the cluster is gone"):
        evolve(members(), toolbox, 1, seed=1)


def stops(individual):
    raise StopIteration


def test_stop_iteration_and_a_map_that_gives_too_much_are_named(toolbox, mlp):
    too_much = mlp()
    too_much.register("map", lambda function, items: [*map(function, items), (1.0,)])
    with pytest.raises(EvaluationError, match=r"generation 0: the map gave more answers: \(1.0,\)"):
        run(too_much)
    toolbox.register("evaluate", stops)
    with pytest.raises(EvaluationError, match=r"^generation 0, child 0: .*StopIteration"):
        run(toolbox)
