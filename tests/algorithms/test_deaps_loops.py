"""DEAP's loops, strategies and particle swarms on a made toolbox: what begins a generation."""

import copy
import operator
import pickle
import random
from functools import partial

import numpy as np
import pytest
from deap import algorithms, base, cma, creator, tools
from loops import LOOPS
from own_callbacks import Watch
from wirings import Counted, evolve_toolbox
from xor_toolboxes import OnXor

from deap_nn import GA, Annealed, ErrorScaled, adapting, evolve, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.errors import EvaluationError
from deap_nn.core.registered import at
from deap_nn.problems.evaluate import Evaluate


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
        toolbox.register(
            "update", lambda population: (strategy.update(population), toolbox.next_generation(population))
        )
        statistics = tools.Statistics(lambda individual: individual.fitness.values[0])
        statistics.register("min", min)
        hall = tools.HallOfFame(1)
        _, logbook = algorithms.eaGenerateUpdate(toolbox, ngen=80, stats=statistics, halloffame=hall, verbose=False)
        least = logbook.select("min")
        assert toolbox.clock.generation == 80
        assert min(least) < 0.05 < 0.15 < least[0]
        assert toolbox.evaluate(hall[0]) == hall[0].fitness.values

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

    def test_none_begins_without_a_finite_fitness(self, toolbox):
        population = score(toolbox, [toolbox.from_vector(np.full(toolbox.layout.size, np.nan))])
        with pytest.raises(EvaluationError, match=r"^generation 0: evaluate gave no member a finite fitness"):
            toolbox.select(population, 1)

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

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda toolbox: pickle.loads(pickle.dumps(toolbox))])
    def test_a_copy_of_a_toolbox_has_a_clock_of_its_own(self, toolbox, again):
        copied = again(toolbox)
        population = score(copied, copied.population(n=4))
        for _ in range(2):
            copied.select(population, 4)
        assert (copied.clock.generation, toolbox.clock.generation) == (1, 0)


def test_a_task_is_scored_in_its_generation_and_leaves_the_evaluation_as_it_was(mlp):
    toolbox = mlp(batch_size=16)
    individual, wanted = toolbox.individual(), {}
    for generation in range(4):
        assert toolbox.clock.generation == generation
        wanted[generation] = toolbox.evaluate(individual)
        individual.fitness.values = wanted[generation]
        toolbox.next_generation([individual])
    assert len(set(wanted.values())) == 4
    for generation in (3, 0):
        assert at(toolbox.evaluate, generation)(individual) == wanted[generation]
    assert toolbox.clock.generation == toolbox.evaluate.func.generation == 4


class OfAttribute:
    """An evaluation of one's own."""

    generation = 0

    def __call__(self, individual):
        return (float(self.generation),)


def test_an_evaluation_of_ones_own_has_the_generation_of_its_task_in_its_attribute():
    evaluate = OfAttribute()
    assert at(evaluate, 5)(None) == (5,)
    assert evaluate(None) == (0,)


class Derived(Evaluate):
    """An evaluation that adds its generation."""

    def __call__(self, individual):
        return (super().__call__(individual)[0] + self.generation,)


def test_an_evaluation_that_is_registered_again_follows_the_clock_in_deaps_loops(mlp):
    toolbox = mlp(batch_size=16)
    usual = toolbox.evaluate
    toolbox.register("evaluate", Derived(toolbox.problem))
    algorithms.eaSimple(toolbox.population(n=4), toolbox, 0.9, 0.9, ngen=2, verbose=False)
    individual = toolbox.individual()
    assert toolbox.evaluate(individual) == (at(usual, 2)(individual)[0] + 2,)
    assert at(usual, 2)(individual) != at(usual, 0)(individual)


@pytest.mark.parametrize("decorated", [False, True])
def test_an_evaluation_reads_the_generation_of_its_task(mlp, decorated):
    toolbox, seen = mlp(batch_size=16), []
    usual, inner = Evaluate(toolbox.problem), toolbox.evaluate
    own = (lambda individual: (inner(individual)[0] + toolbox.clock.generation,)) if decorated else None
    toolbox.register("evaluate", own or Derived(toolbox.problem))

    def look(evolution):
        first, generation = evolution.population[0], evolution.generation
        seen.append(first.fitness.values[0] == at(usual, generation)(first)[0] + generation)

    evolve_toolbox(toolbox, n=4, ngen=2, callbacks=[Watch(look)])
    assert seen == [True] * 3


@pytest.mark.parametrize("preset", ["ga", "article"])
@pytest.mark.parametrize("loop", LOOPS)
def test_deaps_loops_run_on_pairs(mlp, preset, loop):
    toolbox = mlp(ALGORITHMS[preset](), batch_size=16)
    calls = {name: Counted(getattr(toolbox, name).func) for name in ("mate", "mutate")}
    for name, counted in calls.items():
        toolbox.register(name, counted, **getattr(toolbox, name).keywords)
    random.seed(1)
    population = loop(toolbox, toolbox.population(n=12), 3)
    assert all(individual.fitness.valid for individual in population)
    assert all(individual.shapes == toolbox.layout.shapes for individual in population)
    assert calls["mate"].given == {2}
    assert calls["mutate"].given == {1}
    assert toolbox.clock.generation == toolbox.evaluate.func.generation == 3
    assert toolbox.clock.sigma != 0.1  # it follows the error


creator.create("LeastOfSwarm", base.Fitness, weights=(-1.0,))
creator.create("ListParticle", list, fitness=creator.LeastOfSwarm, speed=list, best=None)
creator.create("VectorParticle", np.ndarray, fitness=creator.LeastOfSwarm, speed=list, best=None)


def number_by_number(particle, best):
    """Move a list: each number is drawn towards both best places by itself."""
    pulls = [random.uniform(0, 1.5) for _ in particle], [random.uniform(0, 1.5) for _ in particle]
    own = map(operator.mul, pulls[0], map(operator.sub, particle.best, particle))
    common = map(operator.mul, pulls[1], map(operator.sub, best, particle))
    drawn = map(operator.add, own, common)
    particle.speed = [0.7 * speed + pull for speed, pull in zip(particle.speed, drawn, strict=True)]
    particle[:] = list(map(operator.add, particle, particle.speed))


def all_at_once(particle, best):
    """Move a vector."""
    pulls = np.random.uniform(0, 1.5, (2, len(particle)))  # noqa: NPY002  (as DEAP's example draws them)
    particle.speed = (
        0.7 * np.array(particle.speed) + pulls[0] * (particle.best - particle) + pulls[1] * (best - particle)
    )
    particle += particle.speed


class TestSwarms(OnXor):
    @pytest.mark.parametrize(
        ("kind", "update"), [(creator.ListParticle, number_by_number), (creator.VectorParticle, all_at_once)]
    )
    def test_a_swarm_of_vectors_learns(self, problem, kind, update):
        toolbox = make_toolbox(problem, seed=1)
        size, own = toolbox.layout.size, base.Toolbox()
        own.register("particle", lambda: kind([random.uniform(-1, 1) for _ in range(size)]))
        own.register("population", tools.initRepeat, list, own.particle)
        own.register("evaluate", toolbox.evaluate)
        own.register("update", update)
        swarm, best = own.population(n=10), None
        for particle in swarm:
            particle.speed = [0.0] * size
        first = min(own.evaluate(particle) for particle in swarm)
        for _ in range(20):
            for particle in swarm:
                particle.fitness.values = own.evaluate(particle)
                if particle.best is None or particle.best.fitness < particle.fitness:
                    particle.best = copied(particle)
                if best is None or best.fitness < particle.fitness:
                    best = copied(particle)
            for particle in swarm:
                own.update(particle, best)
        assert best.fitness.values < first


def copied(particle):
    again = type(particle)(particle)
    again.fitness.values = particle.fitness.values
    return again


@pytest.mark.parametrize("keeps_toolbox", [True, False])
def test_the_checkpoint_of_deaps_tutorial_needs_the_toolbox(mlp, keeps_toolbox):
    def went_on(population, toolbox, generations):
        for _ in range(generations):
            population = algorithms.varAnd(toolbox.select(population, len(population)), toolbox, 0.9, 1.0)
            score(toolbox, population)
        return population

    def started():
        random.seed(3)
        toolbox = mlp(batch_size=16)
        return score(toolbox, toolbox.population(n=8)), toolbox

    expected = went_on(*started(), 5)
    population, toolbox = started()
    cp = {"population": went_on(population, toolbox, 2), "toolbox": toolbox, "rndstate": random.getstate()}
    cp = pickle.loads(pickle.dumps(cp))
    toolbox = cp["toolbox"] if keeps_toolbox else started()[1]
    random.setstate(cp["rndstate"])
    assert (went_on(cp["population"], toolbox, 3) == expected) is keeps_toolbox
