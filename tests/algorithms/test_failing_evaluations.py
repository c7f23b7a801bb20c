"""An evaluation that raises or returns no fitness ends the run, and the error names the child."""

import itertools

import numpy as np
import pytest
from deap import base, creator
from limits import evolve
from wirings import LAYOUT, sum_of_squares, wired

from deap_nn import Evaluation, WeightList, initNormal
from deap_nn.core.errors import WORST, EvaluationError

creator.create("FitnessInFailingTests", base.Fitness, weights=(1.0, -1.0))
creator.create("GenomeInFailingTests", WeightList, fitness=creator.FitnessInFailingTests)


class Faulty(Evaluation):
    """An evaluation that does something to one child of one generation."""

    leaves_weights = True

    def __init__(self, act, scores_groups=False):
        self.act, self.generation, self.scored, self.scores_groups = act, 0, 0, scores_groups

    def __call__(self, individual):
        place, self.scored = self.scored % 12, self.scored + 1
        values = sum_of_squares(individual)
        return self.act(values) if (self.generation, place) == (2, 7) else values

    def many(self, genomes):
        return self.act(None) if self.generation == 2 else [(float(np.square(genome).sum()),) for genome in genomes]


def divide(values):
    return (values[0] / 0,)


def outcome(act, **options):
    toolbox = wired(evaluate=Faulty(act))
    population, logbook = evolve(toolbox.population(n=12), toolbox, 3, seed=1, **options)
    return population, logbook


def test_what_it_raises_names_generation_and_child():
    with pytest.raises(EvaluationError) as found:
        outcome(divide)
    assert str(found.value) == "generation 2, child 7: ZeroDivisionError: float division by zero"
    assert any("in divide" in note for note in found.value.__notes__)


def test_what_a_group_raises_names_its_children():
    toolbox = wired(evaluate=Faulty(divide, scores_groups=True))
    with pytest.raises(EvaluationError, match=r"^generation 2, child 0 to 4: TypeError"):
        evolve(toolbox.population(n=12), toolbox, 3, seed=1, group_size=5)


@pytest.mark.parametrize(
    "answer",
    [None, 3.0, "0.5", (), (1.0, 2.0), ("1",), np.array([1.0]), (1j,)],
    ids=repr,
)
def test_what_is_no_fitness_is_named(answer):
    with pytest.raises(EvaluationError, match=r"^generation 2, child 7: evaluate must return a tuple of 1 number"):
        outcome(Answer(answer))


class Answer:
    def __init__(self, answer):
        self.answer = answer

    def __call__(self, values):
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [np.nan, np.inf, -np.inf, 1e300, np.float32(np.nan)],
    ids=repr,
)
def test_nan_and_infinity_are_the_worst_fitness(answer):
    with pytest.warns(UserWarning, match=r"^1 fitness values were not finite, and counted as the worst$"):
        _, logbook = outcome(Answer((answer,)))
    worst = logbook[2]["max"]
    assert worst == WORST
    assert np.isfinite([logbook[2][name] for name in ("min", "avg", "std", "max")]).all()
    assert logbook[2]["min"] < 1e6
    assert logbook[3]["max"] < 1e6  # it has no children


def test_the_worst_of_what_is_maximised_is_low():
    answers = itertools.cycle([(np.nan, np.nan), (1.0, 1.0)])
    toolbox = wired(evaluate=lambda individual: next(answers))
    toolbox.register("individual", initNormal, creator.GenomeInFailingTests, LAYOUT)
    with pytest.warns(UserWarning, match="^4 fitness values were not finite"):
        population, _ = evolve(toolbox.population(n=4), toolbox, 1, seed=1)
    assert [member.fitness.values for member in population] == [(-WORST, WORST), (1.0, 1.0)] * 2


def test_a_generation_without_a_finite_fitness_ends_the_run_with_the_name_of_the_function():
    def diverging(individual):
        return (float("nan"),)

    toolbox = wired(evaluate=diverging)
    with pytest.raises(EvaluationError, match=r"^generation 0: diverging gave no member a finite fitness$"):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1)
