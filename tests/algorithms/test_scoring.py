"""DEAP's strategies and loops on a made toolbox: vectors, what begins a generation, and groups."""

import copy
import functools
import pickle
import random

import numpy as np
import pytest
from deap import algorithms, base, cma, creator, tools

from deap_nn import Annealed, ErrorScaled, Individual, KerasProblem, WeightList, adapting, evolve, make_toolbox
from deap_nn.core.seeding import global_state_kept
from deap_nn.models.tensorflow import keras
from deap_nn.problems import groups
from deap_nn.process.workers import is_serial, worker_count

X = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]] * 10)
Y = (X[:, :1] != X[:, 1:]).astype(np.float32)


@pytest.fixture(scope="module")
def problem():
    layers = [keras.Input((2,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1, activation="sigmoid")]
    return KerasProblem(keras.Sequential(layers), X, Y, loss="mse", validation_split=0)


@pytest.fixture
def toolbox(problem):
    """A made toolbox whose mini-batch is a part of the data."""
    return make_toolbox(problem, seed=1, batch_size=8)


@pytest.fixture(autouse=True)
def seeded():
    with global_state_kept():
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002  (DEAP's strategies draw from it)
        yield


def score(toolbox, individuals):
    for individual, values in zip(individuals, toolbox.map(toolbox.evaluate, individuals), strict=True):
        individual.fitness.values = values
    return individuals


class TestVectors:
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

    def test_a_container_of_ones_own(self, problem):
        creator.create("Least", base.Fitness, weights=(-1.0,))
        creator.create("Particle", WeightList, fitness=creator.Least, speed=list, best=None)
        toolbox = make_toolbox(problem, seed=1, container=creator.Particle)
        particle = toolbox.from_vector(np.ones(17))
        assert (type(particle), particle.speed, particle.best) == (creator.Particle, [], None)


class TestGenerations:
    """What begins a generation in loops that are not generational, and what does not."""

    @pytest.mark.parametrize("preset", ["ga", "es"])
    def test_cma_runs_unmodified(self, problem, preset):
        toolbox = make_toolbox(problem, seed=1, preset=preset)
        strategy = cma.Strategy(centroid=toolbox.individual(), sigma=0.5, lambda_=20)
        toolbox.register("generate", strategy.generate, toolbox.from_vector)
        toolbox.register("update", strategy.update)
        statistics = tools.Statistics(lambda individual: individual.fitness.values[0])
        statistics.register("min", min)
        hall = tools.HallOfFame(1)
        _, logbook = algorithms.eaGenerateUpdate(toolbox, ngen=80, stats=statistics, halloffame=hall, verbose=False)
        least = logbook.select("min")
        assert toolbox.clock.generation == 80
        assert min(least) < 0.05 < 0.15 < least[0]
        assert toolbox.evaluate(hall[0]) == hall[0].fitness.values

    def test_an_update_of_a_particle_begins_none(self, toolbox):
        moved = []
        toolbox.register("update", lambda particle, best, speed: moved.append(particle.flat[:] is None), speed=2)
        particles = score(toolbox, toolbox.population(n=3))
        for particle in particles:
            toolbox.update(particle, particles[0])
        assert (toolbox.clock.generation, len(moved)) == (0, 3)
        toolbox.register("update", lambda population: toolbox.next_generation(population))
        toolbox.update(particles)
        assert toolbox.clock.generation == 1  # and not 2
        toolbox.register("update", lambda population: None)
        toolbox.update([])
        assert toolbox.clock.generation == 1
        toolbox.update(population=particles)
        assert toolbox.clock.generation == 2

    def test_a_second_select_begins_none(self, toolbox):
        sigma, seen = ErrorScaled(0.1, fitness="error"), []
        update = sigma.update
        sigma.update = lambda individuals, generation: (seen.append(generation), update(individuals, generation))
        toolbox.register("mutate", toolbox.mutate.func, **toolbox.mutate.keywords | {"sigma": sigma})
        toolbox.register("select", adapting(tools.selNSGA2, sigma))
        population = toolbox.select(score(toolbox, toolbox.population(n=8)), 8)  # for the crowding distance
        assert toolbox.clock.generation == 1
        again = toolbox.select([toolbox.clone(individual) for individual in population], 8)
        assert (toolbox.clock.generation, seen) == (1, [1])
        score(toolbox, [toolbox.clone(individual) for individual in again])
        toolbox.select(population, 8)  # the copies have the new fitness, and these are not evaluated again
        assert toolbox.clock.generation == 1
        algorithms.eaMuPlusLambda(population, toolbox, mu=8, lambda_=8, cxpb=0.5, mutpb=0.5, ngen=3, verbose=False)
        assert (toolbox.clock.generation, seen) == (4, [1, 2, 3, 4])

    def test_nor_does_one_of_a_fitness_that_the_script_has_changed(self, toolbox):
        population = score(toolbox, toolbox.population(n=6))
        for generation in range(1, 4):
            for individual in population:
                individual.fitness.values = (round(individual.fitness.values[0], 3) + 0.1,)
            for _ in range(2):
                chosen = toolbox.select(population, 6)
                assert toolbox.clock.generation == generation
            population = score(toolbox, [toolbox.clone(individual) for individual in chosen])

    def test_one_that_is_changed_in_between_begins_one(self, toolbox):
        population = score(toolbox, toolbox.population(n=4))
        for generation in range(1, 4):
            toolbox.select(population, 4)
            assert toolbox.clock.generation == generation
            for individual in population:
                individual.fitness.values = (individual.fitness.values[0] + 0.1,)

    def test_scores_from_elsewhere_that_are_all_alike_begin_one_each_time(self, toolbox):
        population = toolbox.population(n=4)
        for generation in range(1, 5):
            for individual in population:
                individual.fitness.values = (0.5,)
            population = list(map(toolbox.clone, toolbox.select(population, 4)))
            assert toolbox.clock.generation == generation

    @pytest.mark.parametrize("breeding", ["recipes", "plain"])
    @pytest.mark.parametrize("members", [1, 4])
    def test_a_run_begins_one_each_time_whatever_the_fitness(self, problem, breeding, members):
        toolbox = make_toolbox(problem, seed=1, parents=None, opposites=0, sigma=Annealed(0.5, 0.05, 6))
        toolbox.register("evaluate", lambda individual: (0.5,))
        population = score(toolbox, toolbox.population(n=members))
        _, logbook = evolve(population, toolbox, 6, breeding=breeding, mutpb=0.5)
        assert logbook.select("sigma") == pytest.approx([0.5 * 0.1 ** (generation / 6) for generation in range(7)])

    def test_nor_does_a_second_one_of_a_fitness_from_elsewhere(self, toolbox):
        population = toolbox.population(n=4)
        for place, individual in enumerate(population):
            individual.fitness.values = (float(place),)
        for _ in range(2):
            chosen = toolbox.select(population, 4)
            assert toolbox.clock.generation == 1
        for place, individual in enumerate(chosen):
            individual.fitness.values = (0.5 + place,)
        toolbox.select(chosen, 4)
        assert toolbox.clock.generation == 2

    @pytest.mark.parametrize("by_island", [True, False])
    def test_islands_on_one_toolbox(self, toolbox, by_island):
        islands = [score(toolbox, toolbox.population(n=6, start=6 * place)) for place in range(5)]
        toolbox.register("select", tools.selTournament, tournsize=3)
        for generation in range(1, 4):
            for place, island in enumerate(islands):
                islands[place] = algorithms.varAnd(toolbox.select(island, 6), toolbox, cxpb=0.3, mutpb=0.3)
                if by_island:
                    score(toolbox, [individual for individual in islands[place] if not individual.fitness.valid])
                assert toolbox.clock.generation == generation
            score(toolbox, [one for island in islands for one in island if not one.fitness.valid])
            tools.migRing(islands, 2, tools.selBest)

    def test_a_loop_that_scores_elsewhere_begins_one_with_each_select(self, toolbox):
        population = score(toolbox, toolbox.population(n=4))
        for generation in range(1, 4):
            population = toolbox.select(population, 4)
            assert toolbox.clock.generation == generation
            for place, individual in enumerate(population):
                individual.fitness.values = (float(place + generation),)

    def test_parents_that_are_drawn_whatever_their_fitness_begin_none(self, toolbox):
        """As in DEAP's differential evolution, which draws them for each agent."""
        toolbox.register("select", tools.selRandom, k=3)
        population = score(toolbox, toolbox.population(n=6))
        for place, agent in enumerate(population):
            a, b, c = toolbox.select(population)
            trial = toolbox.clone(agent)
            for matrix in range(len(trial)):
                trial[matrix] = a[matrix] + 0.5 * (b[matrix] - c[matrix])
            trial.fitness.values = toolbox.evaluate(trial)
            if trial.fitness > agent.fitness:
                population[place] = trial
        assert toolbox.clock.generation == 0
        toolbox.next_generation(population)
        assert toolbox.clock.generation == 1

    @pytest.mark.parametrize("breeding", ["recipes", "plain"])
    def test_a_run_begins_each_whatever_was_scored_before(self, problem, breeding):
        toolbox = make_toolbox(problem, seed=1, elites=2)  # all samples: a fitness may come again
        population = toolbox.population(n=6)
        population, _ = algorithms.eaSimple(population, toolbox, cxpb=0.5, mutpb=0.5, ngen=3, verbose=False)
        assert toolbox.clock.generation == 3
        population = toolbox.population(n=6) if breeding == "recipes" else population
        _, logbook = evolve(population, toolbox, 4, breeding=breeding)
        assert toolbox.clock.generation == logbook[-1]["gen"] == 4

    @pytest.mark.parametrize(
        "evolved",
        [
            lambda toolbox: algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.5, 0.5, ngen=2, verbose=False)[0],
            lambda toolbox: [toolbox.from_vector(np.full(17, place / 10)) for place in range(6)],
        ],
        ids=["eaSimple", "from_vector"],
    )
    def test_what_was_scored_or_made_before_is_bred_by_recipes(self, problem, evolved):
        toolbox, seen = make_toolbox(problem, seed=1, sigma=0.1), list[str]()
        evolve(evolved(toolbox), toolbox, 1, on_generation=lambda evolution: seen.append(evolution.breeding))
        assert seen == ["recipes"] * 2

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda toolbox: pickle.loads(pickle.dumps(toolbox))])
    def test_a_copy_of_a_toolbox_has_a_clock_of_its_own(self, toolbox, again):
        copied = again(toolbox)
        population = score(copied, copied.population(n=4))
        for _ in range(2):
            copied.select(population, 4)
        assert (copied.clock.generation, toolbox.clock.generation) == (1, 0)


class TestTheWarning:
    def loop(self, toolbox, times, score_one=None):
        population = score(toolbox, toolbox.population(n=4))
        for _ in range(times):
            trials = [toolbox.clone(individual) for individual in population]
            if score_one is None:
                score(toolbox, trials)
            else:
                [score_one(trial) for trial in trials]
            population = trials

    @pytest.mark.parametrize("one_by_one", [True, False])
    def test_a_loop_that_never_advances_is_warned_of_once(self, toolbox, one_by_one):
        self.loop(toolbox, 2, toolbox.evaluate if one_by_one else None)
        with pytest.warns(UserWarning, match=r"first mini-batch of 8 samples.*next_generation") as warned:
            self.loop(toolbox, 9, toolbox.evaluate if one_by_one else None)
        assert len(warned) == 1

    def test_vectors_by_ask_and_tell(self, toolbox):
        vectors = np.zeros((5, 17))
        [toolbox.evaluate_many(vectors) for _ in range(3)]
        with pytest.warns(UserWarning, match="next_generation"):
            toolbox.evaluate_many(vectors)

    @pytest.mark.parametrize("one_by_one", [True, False])
    def test_individuals_of_vectors(self, toolbox, one_by_one):
        def ask_and_tell():
            population = [toolbox.from_vector(np.zeros(17)) for _ in range(5)]
            return [*map(toolbox.evaluate, population)] if one_by_one else toolbox.evaluate_many(population)

        [ask_and_tell() for _ in range(3)]
        with pytest.warns(UserWarning, match="next_generation"):
            ask_and_tell()

    @pytest.mark.parametrize("again", [[], ["parents"]], ids=["children only", "parents again"])
    def test_none_for_many_children_scored_one_by_one(self, toolbox, again):
        population = score(toolbox, toolbox.population(n=4))
        for generation in range(1, 4):
            children = algorithms.varOr(population, toolbox, lambda_=16, cxpb=0.5, mutpb=0.5)
            for individual in [*children, *(population if again else [])]:
                individual.fitness.values = toolbox.evaluate(individual)
            population = toolbox.select([*population, *children], 4)
            assert toolbox.clock.generation == generation

    def test_none_after_a_loop_that_advanced(self, toolbox):
        population = score(toolbox, toolbox.population(n=4))
        for _ in range(9):
            toolbox.next_generation(population)
            score(toolbox, population)
        evolve(population, toolbox, 0)  # the clock is at 0 again
        score(toolbox, population)

    def test_none_where_it_would_be_wrong(self, toolbox, problem):
        self.loop(make_toolbox(problem, seed=1), 9)  # all samples
        for place in range(8):  # islands
            score(toolbox, toolbox.population(n=4, start=4 * place))
        single = make_toolbox(problem, seed=1, batch_size=8)
        one = single.individual()
        [single.evaluate(one) for _ in range(9)]
        advancing = make_toolbox(problem, seed=1, batch_size=8)
        advancing.next_generation(score(advancing, advancing.population(n=4)))
        self.loop(advancing, 9)
        own = make_toolbox(problem, seed=1, batch_size=8)
        own.register("evaluate", lambda individual: (0.0,))
        self.loop(own, 9)

    def test_none_where_there_are_many_children_of_few_parents(self, toolbox):
        population = toolbox.population(n=2)
        algorithms.eaMuPlusLambda(population, toolbox, 2, 14, cxpb=0.5, mutpb=0.5, ngen=2, verbose=False)
        assert toolbox.clock.generation == 2


def pickled(function, items):
    """A map of another process: what it is given and what it answers travel."""
    sent = pickle.dumps(function)
    return [pickle.loads(pickle.dumps(pickle.loads(sent)(pickle.loads(pickle.dumps(item))))) for item in items]


class TestGroups:
    @pytest.fixture
    def sizes(self, monkeypatch):
        """The number of genomes of each call that scores."""
        noted, many = [], groups.GroupKernel.__call__

        def noting(kernel, genomes, *given):
            noted.append(len(genomes))
            return many(kernel, genomes, *given)

        monkeypatch.setattr(groups.GroupKernel, "__call__", noting)
        return noted

    def test_deaps_loop_scores_many_at_a_time(self, digits, sizes):
        def run(*decorators):
            toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
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

        def passing(evaluate):
            return functools.wraps(evaluate)(lambda individual: evaluate(individual))

        assert run(passing) == grouped
        assert sizes == [1] * 72

    def test_other_maps(self, problem, sizes, monkeypatch):
        toolbox = make_toolbox(problem, seed=1)
        population = toolbox.population(n=20)
        alone = [toolbox.evaluate(individual) for individual in population]
        vectors = np.array([np.asarray(individual) for individual in population])
        sizes.clear()
        pickled.workers = 2
        toolbox.register("map", pickled)
        assert toolbox.map(toolbox.evaluate, population) == alone  # a list, as the map has given
        assert sizes == [3] * 6 + [2]
        assert toolbox.evaluate_many(vectors) == toolbox.evaluate_many(population) == alone
        monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)  # each alone, as a large network
        assert toolbox.evaluate.func.most_together == 0
        assert toolbox.map.func is pickled
        assert list(toolbox.map(abs, [-1, 2])) == [1, 2]

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
