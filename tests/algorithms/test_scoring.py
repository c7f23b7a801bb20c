"""Scoring on a made toolbox: of vectors, as DEAP's strategies have them, and of many individuals at a time."""

import pickle
import random

import numpy as np
import pytest
from deap import algorithms, base, tools
from wirings import passing
from xor_toolboxes import OnXor

from deap_nn import Individual, WeightList, grouping, make_toolbox
from deap_nn.problems import groups
from deap_nn.process.workers import is_serial, worker_count


class TestVectors(OnXor):
    def test_an_individual_is_its_flat_vector_to_numpy(self, toolbox):
        one, two = toolbox.population(n=2)
        assert np.shares_memory(np.asarray(one), one.flat)
        assert not np.shares_memory(np.array(two), two.flat)
        assert np.asarray(two, dtype=np.float64).dtype == np.float64
        with pytest.raises(ValueError, match="copy"):
            np.asarray(two, dtype=np.float64, copy=False)
        assert np.dot([0.25, 0.75], [one, two]).tolist() == np.dot([0.25, 0.75], [one.flat, two.flat]).tolist()
        assert ([one, two] - np.ones(17, np.float32)).tolist() == [(one.flat - 1).tolist(), (two.flat - 1).tolist()]

    def test_there_and_back(self, toolbox):
        individual = toolbox.population(n=1)[0]
        made = toolbox.from_vector(np.asarray(individual, dtype=np.float64))
        assert (type(made), made == individual, made.fitness.valid) == (Individual, True, False)
        made.flat[0] += 1
        assert made != individual
        layout = toolbox.layout
        assert layout.pack(layout.unpack(list(range(17)))).tolist() == list(range(17))
        with pytest.raises(ValueError, match=r"flat must have the shape \(17,\), got \(16,\)"):
            toolbox.from_vector(np.zeros(16))
        with pytest.raises(TypeError, match="complex"):
            toolbox.from_vector(np.full(17, 1j))
        with pytest.raises(ValueError, match=r"matrices must have the shapes .*, got \(\(17,\),\)"):
            layout.pack([np.zeros(17)])

    @pytest.mark.parametrize("kind", [np.asarray, lambda one: np.asarray(one).tolist(), lambda one: one.flat[::1]])
    def test_a_vector_is_scored_as_its_individual(self, toolbox, kind):
        individual = toolbox.population(n=1)[0]
        assert toolbox.evaluate(kind(individual)) == toolbox.evaluate(individual)
        with pytest.raises(ValueError, match=r"flat must have the shape \(17,\), got \(3,\)"):
            toolbox.evaluate([1.0, 2.0, 3.0])


def pickled(function, items):
    """A map of another process: what it is given and what it answers travel."""
    sent = pickle.dumps(function)
    return [pickle.loads(pickle.dumps(pickle.loads(sent)(pickle.loads(pickle.dumps(item))))) for item in items]


class TestGroups(OnXor):
    @pytest.fixture
    def sizes(self, monkeypatch):
        """The number of genomes of each call that scores."""
        noted, many = [], groups.GroupKernel.__call__

        def noting(kernel, genomes, *given):
            noted.append(len(genomes))
            return many(kernel, genomes, *given)

        monkeypatch.setattr(groups.GroupKernel, "__call__", noting)
        return noted

    def test_deaps_loop_scores_many_at_a_time(self, mlp, sizes):
        def run(*decorators):
            toolbox = mlp(batch_size=16)
            toolbox.decorate("evaluate", *decorators)
            random.seed(1)
            hall = tools.HallOfFame(5)
            algorithms.eaSimple(
                toolbox.population(n=24), toolbox, cxpb=0.9, mutpb=1, ngen=2, halloffame=hall, verbose=False
            )
            return [(one.fitness.values, one.flat.tobytes()) for one in hall]

        grouped = run()
        assert sizes == [15, 9] * 3  # of the mlp 15 stay in the processor's cache
        sizes.clear()

        assert run(passing) == grouped
        assert sizes == [1] * 72

    def test_other_maps(self, problem, sizes, monkeypatch):
        toolbox = make_toolbox(problem, seed=1)
        population = toolbox.population(n=20)
        alone = [toolbox.evaluate(individual) for individual in population]
        vectors = np.array([np.asarray(individual) for individual in population])
        sizes.clear()
        pickled.workers = 2
        toolbox.register("map", grouping(pickled))
        assert toolbox.map(toolbox.evaluate, population) == alone  # a list, as the map has given
        assert sizes == [3] * 6 + [2]
        assert toolbox.evaluate_many(vectors) == toolbox.evaluate_many(population) == alone
        monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)  # each alone, as a large network
        assert toolbox.evaluate.func.most_together == 0
        assert toolbox.map.func.func is pickled
        assert list(toolbox.map(abs, [-1, 2])) == [1, 2]

    def test_a_map_of_ones_own_gets_individuals_one_by_one(self, toolbox):
        population, other, known = toolbox.population(n=3), toolbox.individual(), []
        expected = [toolbox.evaluate(individual) for individual in (*population, other)]

        def own(function, individuals):
            known.append(function(other))  # of which the list has none
            return list(map(function, individuals))

        toolbox.register("map", own)
        assert [*toolbox.map(toolbox.evaluate, population), *known] == expected
        assert [*toolbox.evaluate_many(population), known[1]] == expected
        toolbox.register("map", grouping(own))  # lists of individuals
        assert [*toolbox.evaluate_many(population), known[2]] == expected

    def test_a_registered_map_is_still_known_by_what_it_is(self, toolbox):
        assert is_serial(toolbox.map)
        other = base.Toolbox()
        other.register("map", toolbox.map)
        assert (is_serial(other.map), worker_count(other.map)) == (True, 1)
        assert list(other.map(toolbox.evaluate, [])) == []

    def test_a_stranger_in_a_group_is_named(self, toolbox):
        population = [*toolbox.population(n=3), WeightList([np.zeros((4, 2)), np.zeros(9)])]
        with pytest.raises(ValueError, match=r"individual must have the shapes .*\(2, 4\).* got \(\(4, 2\), \(9,\)\)"):
            toolbox.evaluate_many(population)

    def test_a_light_member_stays_light(self, toolbox):
        population = toolbox.population(n=3)
        toolbox.evaluate_many(population)
        assert all(hasattr(member, "make") for member in population)
