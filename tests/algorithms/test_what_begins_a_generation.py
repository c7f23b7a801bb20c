"""What begins a generation in DEAP's strategies and loops on a made toolbox, and the warning where nothing does."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from deap import algorithms, cma, tools
from xor_toolboxes import OnXor

from deap_nn import GA, Annealed, ErrorScaled, adapting, evolve, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS


def score(toolbox, individuals):
    for individual, values in zip(individuals, toolbox.map(toolbox.evaluate, individuals), strict=True):
        individual.fitness.values = values
    return individuals


class TestGenerations(OnXor):
    """What begins a generation in loops that are not generational, and what does not."""

    @pytest.mark.parametrize("preset", ["ga", "es"])
    def test_cma_runs_unmodified(self, problem, preset):
        toolbox = make_toolbox(problem, algorithm=ALGORITHMS[preset](), seed=1)
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
            toolbox.update(particle=particle, best=particles)
        assert (toolbox.clock.generation, len(moved)) == (0, 6)
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

    @pytest.mark.parametrize("members", [1, 4])
    def test_a_run_begins_one_each_time_whatever_the_fitness(self, problem, members):
        toolbox = make_toolbox(problem, algorithm=GA(parents=1.0, opposites=0, sigma=Annealed(0.5, 0.05, 6)), seed=1)
        toolbox.register("evaluate", lambda individual: (0.5,))
        population = score(toolbox, toolbox.population(n=members))
        _, logbook = evolve(population, toolbox, 6, mutpb=0.5)
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

    @pytest.mark.parametrize("drawing", [partial(tools.selRandom, k=3), tools.selRandom], ids=["partial", "function"])
    def test_parents_that_are_drawn_whatever_their_fitness_begin_none(self, toolbox, drawing):
        """As in DEAP's differential evolution, which draws them for each agent."""
        toolbox.register("select", drawing, **({} if isinstance(drawing, partial) else {"k": 3}))
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

    def test_a_run_begins_each_whatever_was_scored_before(self, problem):
        toolbox = make_toolbox(problem, seed=1)  # all samples: a fitness may come again
        population = toolbox.population(n=6)
        population, _ = algorithms.eaSimple(population, toolbox, cxpb=0.5, mutpb=0.5, ngen=3, verbose=False)
        assert toolbox.clock.generation == 3
        _, logbook = evolve(population, toolbox, 4)
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
        toolbox = make_toolbox(problem, algorithm=GA(sigma=0.1, schedule="constant"), seed=1)
        assert len(evolve(evolved(toolbox), toolbox, 1)[1]) == 2

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda toolbox: pickle.loads(pickle.dumps(toolbox))])
    def test_a_copy_of_a_toolbox_has_a_clock_of_its_own(self, toolbox, again):
        copied = again(toolbox)
        population = score(copied, copied.population(n=4))
        for _ in range(2):
            copied.select(population, 4)
        assert (copied.clock.generation, toolbox.clock.generation) == (1, 0)


class TestTheWarning(OnXor):
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

    def test_trials_of_agents_that_stay_as_they_are(self, toolbox):
        """As in DEAP's differential evolution: a trial that fails leaves its agent with one evaluation."""
        population = score(toolbox, toolbox.population(n=4))
        [toolbox.evaluate(toolbox.clone(agent)) for _ in range(9) for agent in population]
        with pytest.warns(UserWarning, match="next_generation"):
            toolbox.evaluate(toolbox.clone(population[0]))

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
