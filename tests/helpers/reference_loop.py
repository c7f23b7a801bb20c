"""The loop of `evolve` in its plainest form: whole individuals in one process, without recipes, tasks or a cache.

`evolve` must give the same bytes, by any map. In each generation it selects parents, crosses them in groups, mutates
the children and scores them. An evolution strategy (a toolbox with a ``step``) moves one centre instead, and mutates
copies of it. Random numbers are a function of (seed, purpose, generation, place).
"""

import copy
from functools import partial

import numpy as np

from deap_nn import Annealed, SelfAdaptive, WeightList
from deap_nn.core.seeding import Purpose, seeded, stream, takes
from deap_nn.genome.layer_inputs import inputs_of_centre
from deap_nn.operators.compiled.centre import average
from deap_nn.operators.compiled.projection import STRIDE, project
from deap_nn.operators.crossover import extrapolate
from deap_nn.operators.ranking import counted, counts_and_kept, recombination_weights
from deap_nn.operators.selection import operator_of


class ReferenceLoop:
    """A run of a toolbox, made or of one's own; `seed`, `cxpb` and `mutpb` are those of `evolve`."""

    def __init__(self, toolbox, ngen, *, seed=1, cxpb=1.0, mutpb=1.0):
        self.toolbox, self.ngen, self.seed, self.cxpb, self.mutpb = toolbox, ngen, seed, cxpb, mutpb
        self.sigma, self.bounds = map(keywords_of(toolbox.mutate).get, ("sigma", "bounds"))
        self.adapts = hasattr(self.sigma, "update")
        self.step, self.mates = getattr(toolbox, "step", None), getattr(toolbox, "mates", 2)
        self.weights = getattr(toolbox, "recombination_weights", recombination_weights)
        self.layer_inputs = getattr(toolbox, "layer_inputs", None)
        self.centre = self.inputs = None  # of an evolution strategy: a vector; of a genetic algorithm: the centroid

    def run(self, population):
        """Return the weights of the last members as bytes, and the rows of the logbook."""
        if self.adapts:
            self.sigma.reset()
        if isinstance(self.sigma, Annealed):
            self.sigma.run_of(self.ngen)
        if self.step == "usual":  # it follows from the size of the run
            self.toolbox.plan(len(population), self.ngen)
            self.step = self.toolbox.step
        rows = [self.scored(population, 0)]
        for generation in range(1, self.ngen + 1):
            if self.adapts:
                self.sigma.update(population, generation)
            breed = self.crossed if self.step is None else self.around_centre
            population, pairs = breed(population, generation)
            if self.layer_inputs is not None:
                centre = WeightList.from_flat(self.centre, population[0].shapes)
                self.inputs = inputs_of_centre(self.layer_inputs, centre, generation, map)
            rows.append(self.scored(population, generation) | pairs)
        if self.step is None:
            rows[0]["best_pairs"] = 0
        return [individual.flat.tobytes() for individual in population], rows

    def scored(self, population, generation):
        """Score members on the mini-batch of a generation, and return the row of the logbook."""
        if hasattr(self.toolbox, "clock"):
            self.toolbox.clock.restore(generation, self.sigma.state() if self.adapts else {})
        for individual in population:
            individual.fitness.values = self.toolbox.evaluate(individual)
        best, values = max(population, key=lambda one: one.fitness), [one.fitness.values[0] for one in population]
        row = {"gen": generation, "nevals": len(values), "min": min(values), "avg": np.mean(values)}
        row |= {"std": np.std(values), "max": max(values)}
        if hasattr(self.toolbox, "assess"):
            row |= self.toolbox.assess(best, generation)
        sigma = self.sigma.sigma if self.adapts else self.sigma
        return row if sigma is None else row | {"sigma": sigma}

    # A genetic algorithm.

    def crossed(self, population, generation):
        """Select parents, move them by the projected step of their mean, and cross them in groups of `mates`."""
        opposites, stands = {}, {id(member): place for place, member in enumerate(population)}

        def mirror(members):
            if generation == 1:
                return None
            made = [self.unscored(member) for member in members]
            for one in made:
                np.subtract(2 * self.centre, one.flat, out=one.flat)
            opposites.update((id(one), one) for one in made)
            stands.update((id(one), len(population) + stands[id(member)]) for one, member in zip(made, members))  # noqa: B905
            return made

        select = self.toolbox.select
        if hasattr(self.toolbox, "clock"):
            select = partial(operator_of(select), *select.args, **select.keywords)
        if takes(select, "mirror"):
            select = partial(select, mirror=mirror)
        parents = seeded(select, self.stream(Purpose.SELECT, generation))(population, len(population))
        best = max(population, key=lambda one: one.fitness)
        if getattr(getattr(self.toolbox.mate, "func", None), "fitter_first", False):
            pairs = [parents[start : start + 2] for start in range(0, len(parents), 2)]
            parents = [one for pair in pairs for one in sorted(pair, key=lambda one: one.fitness, reverse=True)]
        best_pairs = {place // self.mates for place, parent in enumerate(parents) if parent is best}
        parents = self.moved([(stands[id(parent)], parent) for parent in parents])
        children = []
        for group, start in enumerate(range(0, len(parents), self.mates)):
            children += self.mated(parents[start : start + self.mates], generation, group)
        return self.mutated(children, generation), {"best_pairs": len(best_pairs)}

    def moved(self, parents):
        """Return parents without a fitness, moved by the projection of the step of their mean since a generation."""
        each, drawn = dict(parents), [place for place, _ in parents]
        places = sorted(each)  # members, then opposites
        mean, before = np.empty_like(parents[0][1].flat), self.centre
        average([each[place].flat for place in places], [drawn.count(place) for place in places], mean)
        self.centre = mean.copy()
        if self.inputs is not None:
            project(self.centre, before, parents[0][1].shapes, self.inputs, stride=STRIDE)
        made = []
        for _, parent in parents:
            made.append(self.unscored(parent))
            if self.inputs is not None:
                made[-1].flat[:] += self.centre - mean
        return made

    def mated(self, group, generation, number):
        if len(group) < 2 or not self.happens(self.cxpb, generation, 2 * number):
            return group
        return seeded(self.toolbox.mate, self.stream(Purpose.MATE, generation, number))(*group)

    # An evolution strategy.

    def around_centre(self, population, generation):
        """Move the centre by the members' ranks, and return mutated copies of it."""
        ranked, before = sorted(population, key=lambda one: one.fitness, reverse=True), self.centre
        if before is None:
            self.centre = ranked[0].flat.copy()
        else:
            weights, kept = counts_and_kept(range(len(ranked)), self.weights)
            total = kept * before.astype(np.float64)
            for place, weight in weights.items():
                total += np.multiply(ranked[place].flat, weight, dtype=np.float64)
            self.centre = np.empty_like(before)
            extrapolate(before, total / counted(weights.values(), kept), self.step, self.centre)
            if self.inputs is not None:
                project(self.centre, before, population[0].shapes, self.inputs)
        children = [self.unscored(member) for member in population]
        for child in children:
            child.flat[:] = self.centre
        return self.mutated(children, generation), {}

    # Both.

    def mutated(self, children, generation):
        made, own = [], isinstance(self.sigma, SelfAdaptive)
        if own:
            sigmas = self.sigma.inherited([self.sigma.of(child) for child in children], self.seed, generation)
        for place, child in enumerate(children):
            if self.happens(self.mutpb, generation, 2 * place + 1):
                mutate = partial(self.toolbox.mutate, sigma=sigmas[place]) if own else self.toolbox.mutate
                (child,) = seeded(mutate, self.stream(Purpose.MUTATE, generation, place))(child)
            elif self.bounds is not None:
                np.clip(child.flat, *self.bounds, out=child.flat)
            if own:
                child.strategy = sigmas[place]
            made.append(child)
        return made

    def happens(self, probability, generation, index):
        return probability >= 1 or self.stream(Purpose.VARY, generation, index).random() < probability

    def stream(self, purpose, generation, index=0):
        return stream(self.seed, purpose, generation, index)

    def unscored(self, individual):
        made = copy.deepcopy(individual)
        del made.fitness.values
        return made


def keywords_of(registered):
    return keywords_of(registered.func) | registered.keywords if isinstance(registered, partial) else {}


def reference(toolbox, *, n=12, ngen=6, population=None, **probabilities):
    """Return the weights and the rows of a run of the plain loop, as `wirings.result` does of `evolve`."""
    return ReferenceLoop(toolbox, ngen, **probabilities).run(population or toolbox.population(n=n))
