"""The loop of `evolve` in its plainest form: whole individuals in one process, without recipes, tasks or a cache.

`evolve` must give the same bytes, by any map. In each generation it selects parents, crosses them in groups, mutates
the children and scores them. An evolution strategy (a toolbox with a ``step``) moves one centre instead, and mutates
copies of it. Random numbers are a function of (seed, purpose, generation, place).
"""

import copy
import math
from collections import Counter
from functools import partial

import numpy as np

from deap_nn import SelfAdaptive, WeightList, recombination_weights
from deap_nn.core.registered import Registered, at, words_of
from deap_nn.core.seeding import Purpose, seeded, stream, takes
from deap_nn.genome.layer_inputs import inputs_of_centre, with_changes
from deap_nn.operators.adaptation import Clock
from deap_nn.operators.cases import in_blocks, step_by_cases
from deap_nn.operators.compiled.projection import project


class ReferenceLoop:
    """A run of a toolbox, made or of one's own; `seed`, `cxpb` and `mutpb` are those of `evolve`."""

    def __init__(self, toolbox, ngen, *, seed=1, cxpb=1.0, mutpb=1.0):
        self.toolbox, self.ngen, self.seed, self.cxpb, self.mutpb = toolbox, ngen, seed, cxpb, mutpb
        self.clock = getattr(toolbox, "clock", Clock(toolbox))
        self.mates, self.best_pairs = getattr(toolbox, "mates", 2), 0
        self.has_centre = getattr(toolbox, "step", None) is not None
        self.centre = None  # of an evolution strategy: a vector; of a genetic algorithm: the centroid
        self.inputs, self.spread = None, 0.0  # along which its next step goes, and the spread of the losses

    def run(self, population):
        """Return the weights of the last members as bytes, and the rows of the logbook."""
        if hasattr(self.toolbox, "plan"):
            self.toolbox.plan(len(population), self.ngen)
        self.clock.reset(self.ngen)
        rows = [self.scored(population, 0)]
        for generation in range(1, self.ngen + 1):
            self.clock.advance(population)
            children = (self.around_centre if self.has_centre else self.crossed)(population, generation)
            population = self.mutated(children, generation)
            if hasattr(self.toolbox, "layer_inputs"):
                centre = WeightList.from_flat(self.centre, population[0].shapes)
                by_cases = Registered.read(self.toolbox).moves_by_cases
                self.inputs = inputs_of_centre(self.toolbox.layer_inputs, centre, generation, map, by_cases=by_cases)
            rows.append(self.scored(population, generation))
        return [individual.flat.tobytes() for individual in population], rows

    def scored(self, population, generation):
        """Score members, and return the row of the logbook."""
        for individual in population:
            individual.fitness.values = self.toolbox.evaluate(individual)
        registered = Registered.read(self.toolbox)
        if self.inputs is not None and registered.moves_by_cases:
            by_cases = at(self.toolbox.evaluate.func.by_cases(self.inputs), generation)
            counted = in_blocks(list(map(by_cases, population)))
            changes, self.spread = step_by_cases(counted, registered.case_step, self.spread)
            self.inputs = with_changes(self.inputs, changes, self.spread)
        best, values = max(population, key=lambda one: one.fitness), [one.fitness.values[0] for one in population]
        row = {"gen": generation, "nevals": len(values), "min": min(values), "avg": np.mean(values)}
        row |= {"std": np.std(values), "max": max(values)}
        if hasattr(self.toolbox, "assess"):
            row |= self.toolbox.assess(best, generation)
        if self.clock.sigma is not None:
            row["sigma"] = self.clock.sigma
        return row if self.has_centre else row | {"best_pairs": self.best_pairs}

    def crossed(self, population, generation):
        """Select parents, move them by the projected step of their mean, and cross them in groups of `mates`."""
        for place, member in enumerate(population):
            member.place = place

        def mirror(members):
            if generation == 1:
                return None
            made = [self.unscored(member) for member in members]
            for one in made:
                one.flat[:] = 2 * self.centre - one.flat
                one.place += len(population)
            return made

        select = self.toolbox.select
        if takes(select, "mirror"):
            select = partial(select, mirror=mirror)
        parents = seeded(select, stream(self.seed, Purpose.SELECT, generation))(population, len(population))
        if getattr(getattr(self.toolbox.mate, "func", None), "fitter_first", False):
            pairs = [parents[start : start + 2] for start in range(0, len(parents), 2)]
            parents = [one for pair in pairs for one in sorted(pair, key=lambda one: one.fitness, reverse=True)]
        best = max(population, key=lambda one: one.fitness)
        self.best_pairs = len({place // self.mates for place, parent in enumerate(parents) if parent is best})
        parents, children = self.moved(parents), []
        for number, start in enumerate(range(0, len(parents), self.mates)):
            group = parents[start : start + self.mates]
            if len(group) > 1 and self.happens(self.cxpb, generation, 2 * number):
                group = seeded(self.toolbox.mate, stream(self.seed, Purpose.MATE, generation, number))(*group)
            children += group
        return children

    def moved(self, parents):
        """Return copies of parents, moved by the projection of the step of their mean since a generation."""
        counts = sorted(Counter(parent.place for parent in parents).items())  # members, then opposites
        flats = {parent.place: parent.flat.astype(np.float64) for parent in parents}
        mean = (sum(count * flats[place] for place, count in counts) / len(parents)).astype(np.float32)
        before, self.centre = self.centre, mean.copy()
        made = [self.unscored(parent) for parent in parents]
        if self.inputs is not None:
            project(self.centre, before, made[0].shapes, self.inputs)
            for parent in made:
                parent.flat[:] += self.centre - mean
        return made

    def around_centre(self, population, generation):
        """Move the centre by the members' ranks, and return copies of it."""
        ranked, before = sorted(population, key=lambda one: one.fitness, reverse=True), self.centre
        if before is None:
            self.centre = ranked[0].flat.copy()
        else:
            weights = getattr(self.toolbox, "recombination_weights", recombination_weights)(len(ranked))
            start, kept = before.astype(np.float64), 1.0 - float(np.sum(weights))
            total = kept * start
            for member, weight in zip(ranked, weights, strict=True):
                total += weight * member.flat.astype(np.float64)
            mean = total / (1.0 if kept else math.fsum(weights))
            self.centre = (start + self.toolbox.step * (mean - start)).astype(np.float32)
            if self.inputs is not None:
                project(self.centre, before, population[0].shapes, self.inputs)
        children = [self.unscored(member) for member in population]
        for child in children:
            child.flat[:] = self.centre
        return children

    def mutated(self, children, generation):
        sigma, bounds = map(words_of(self.toolbox.mutate).get, ("sigma", "bounds"))
        own, made = isinstance(sigma, SelfAdaptive), []
        if own:
            sigmas = sigma.inherited([sigma.of(child) for child in children], self.seed, generation)
        for place, child in enumerate(children):
            mutate = self.toolbox.mutate
            if own:
                child.strategy = sigmas[place]
                mutate = partial(mutate, sigma=child.strategy)
            if self.happens(self.mutpb, generation, 2 * place + 1):
                (child,) = seeded(mutate, stream(self.seed, Purpose.MUTATE, generation, place))(child)
            elif bounds is not None:
                np.clip(child.flat, *bounds, out=child.flat)
            matrices, every = getattr(self.toolbox, "resting", (0, 1))
            for matrix in range(matrices if generation % every else 0):
                child[matrix][:] = WeightList.from_flat(self.centre, child.shapes)[matrix]
            made.append(child)
        return made

    def happens(self, probability, generation, index):
        return probability >= 1 or stream(self.seed, Purpose.VARY, generation, index).random() < probability

    def unscored(self, individual):
        made = copy.deepcopy(individual)
        del made.fitness.values
        return made


def reference(toolbox, *, n=12, ngen=6, population=None, **probabilities):
    """Return the weights and the rows of a run of the plain loop, as `wirings.result` does of `evolve`."""
    founders = population or toolbox.population(n=n, start=0)
    return ReferenceLoop(toolbox, ngen, **probabilities).run(founders)
