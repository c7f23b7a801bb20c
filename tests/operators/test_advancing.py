"""Whatever is registered as ``select`` on a made toolbox advances its generation."""

import functools
import random

import numpy as np
import pytest
from deap import tools
from loops import plus, scored, simple
from wirings import passing

from deap_nn import ErrorScaled, KerasProblem, evolve, make_toolbox, mutGaussianAdaptive, selRankBoosted
from deap_nn.models.tensorflow import keras

SELECTIONS = {
    "selTournament": (tools.selTournament, {"tournsize": 2}),
    "selBest": (tools.selBest, {}),
    "selRankBoosted": (selRankBoosted, {"parents": 4, "rng": np.random.default_rng(1)}),
    "selNSGA2": (tools.selNSGA2, {}),
}


class TestMadeToolbox:
    """Whatever is registered as ``select`` on a made toolbox advances its generation."""

    @pytest.fixture
    def toolbox(self, mlp):
        return mlp(batch_size=16)

    @pytest.mark.parametrize("name", SELECTIONS)
    def test_any_selection_advances(self, toolbox, name):
        function, words = SELECTIONS[name]
        toolbox.register("select", function, **words)
        assert toolbox.select.keywords == words
        batches, evaluate = [], toolbox.evaluate.func

        def noting(individual):
            batches.append(evaluate.generation)
            return evaluate(individual)

        toolbox.register("evaluate", noting)
        random.seed(1)
        plus(toolbox, toolbox.population(n=6), 4)
        assert sorted(set(batches)) == [0, 1, 2, 3]
        assert toolbox.clock.generation == 4
        assert toolbox.clock.sigma < 0.128

    def test_a_decorated_one_advances_once(self, toolbox):
        toolbox.register("select", passing(passing(toolbox.select)))
        toolbox.decorate("select", passing)
        random.seed(1)
        simple(toolbox, toolbox.population(n=6), 3)
        assert toolbox.clock.generation == 3

    @pytest.mark.parametrize("by_hand", [False, True])
    def test_a_decorator_without_wraps_leaves_it_its_rng(self, mlp, by_hand):
        def bare(select):
            def passed(*arguments, **keywords):
                return select(*arguments, **keywords)

            return passed

        def ended(loop, *, decorated):
            toolbox = mlp(batch_size=16)
            registered = toolbox.select
            if decorated and by_hand:
                toolbox.register("select", bare(registered.func), *registered.args, **registered.keywords)
            elif decorated:
                toolbox.decorate("select", bare)
            random.seed(1)
            population = toolbox.population(n=6)
            loop(toolbox, population, 2)
            return [member.fitness.values for member in population], toolbox.clock.generation

        for loop in (simple, lambda toolbox, population, ngen: evolve(population, toolbox, ngen)):
            assert ended(loop, decorated=True) == ended(loop, decorated=False)

    def test_a_loop_that_never_selects(self, toolbox):
        population = toolbox.population(n=6)
        scored(toolbox, population)
        toolbox.next_generation(population)
        best = min(individual.fitness.values[0] for individual in population)
        assert toolbox.evaluate.func.generation == toolbox.clock.generation == 1
        assert toolbox.clock.sigma == pytest.approx(0.128 * (1 - np.exp(-best)))

    def test_a_sigma_that_is_registered_goes_by_the_fitness_of_the_problem(self, toolbox):
        sigma = ErrorScaled(0.1)
        toolbox.register("mutate", mutGaussianAdaptive, sigma=sigma, rng=np.random.default_rng(1))
        random.seed(1)
        population = toolbox.population(n=6)
        simple(toolbox, population, 2)
        assert sigma.fitness == "cross_entropy"
        assert 0 < sigma.sigma < 0.1
        x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        toolbox = make_toolbox(KerasProblem(model, x, x, loss="mse"), seed=1)
        with pytest.raises(ValueError, match="ErrorScaled needs a fitness that is an error or a cross-entropy"):
            toolbox.register("mutate", mutGaussianAdaptive, sigma=ErrorScaled(0.1), rng=np.random.default_rng(1))
        own = ErrorScaled(0.1, fitness="error")
        toolbox.register("mutate", mutGaussianAdaptive, sigma=own, rng=np.random.default_rng(1))
        assert own.fitness == "error"

    def test_register_gives_partials(self, toolbox):
        for name in ("mate", "mutate", "select", "evaluate"):
            assert isinstance(getattr(toolbox, name), functools.partial)
        toolbox.register("select", tools.selTournament, 4, tournsize=2)
        assert (toolbox.select.args, toolbox.select.keywords) == ((4,), {"tournsize": 2})
        assert toolbox.select.func.operator is tools.selTournament
