"""Particle swarms in the two forms of DEAP's examples: a particle is a list of numbers, or a vector of NumPy."""

import operator
import random

import numpy as np
import pytest
from deap import base, creator, tools
from xor_toolboxes import OnXor

from deap_nn import make_toolbox

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
