"""The generation is an argument: a task is scored in its own, and no worker writes to an evaluation."""

import pytest
from own_callbacks import Watch

from deap_nn import evolve, make_toolbox
from deap_nn.core.registered import at
from deap_nn.problems.evaluate import Evaluate


def test_a_task_is_scored_in_its_generation_and_leaves_the_evaluation_as_it_was(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
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


@pytest.mark.parametrize("decorated", [False, True])
def test_an_evaluation_reads_the_generation_of_its_task(digits, decorated):
    toolbox, seen = make_toolbox("mlp", digits, seed=1, batch_size=16), []
    usual, inner = Evaluate(toolbox.problem), toolbox.evaluate
    own = (lambda individual: (inner(individual)[0] + toolbox.clock.generation,)) if decorated else None
    toolbox.register("evaluate", own or Derived(toolbox.problem))

    def look(evolution):
        first, generation = evolution.population[0], evolution.generation
        seen.append(first.fitness.values[0] == at(usual, generation)(first)[0] + generation)

    evolve(toolbox.population(n=4), toolbox, 2, callbacks=[Watch(look)])
    assert seen == [True] * 3
