"""`evolve` by recipes has the bytes of the loop that breeds whole individuals in one process."""

from functools import partial

import pytest
from deap import tools
from own_callbacks import Watch
from reference_loop import reference
from wirings import HALF, WIRINGS, Squares, cx_rows, halve, mutation, result, wired

from deap_nn import (
    ES,
    GA,
    Annealed,
    Article,
    OneFifth,
    SelfAdaptive,
    cxBiased,
    cxMatrices,
    cxScanning,
    cxSplit,
    cxUnits,
    elementwise,
    make_toolbox,
    mutGaussianAdaptive,
    recombination_weights,
    selRankBoosted,
)
from deap_nn.breeding import slots

ALGORITHMS = {
    "GA": (GA(), {}),
    "GA, not projected": (GA(projected=False), {}),
    "GA, no opposites": (GA(opposites=0.0), {}),
    "GA, one constant sigma": (GA(sigma=0.1, schedule="constant", projected=False, opposites=0.0), {}),
    "GA, bounds": (GA(), {"bounds": (-0.05, 0.05)}),
    "ES": (ES(), {}),
    "ES, not projected": (ES(projected=False), {}),
    "Article": (Article(), {}),
}


@pytest.mark.parametrize(("algorithm", "given"), ALGORITHMS.values(), ids=ALGORITHMS)
def test_an_algorithm_has_the_bytes_of_the_plain_loop(mlp, algorithm, given):
    def made():
        return mlp(algorithm, batch_size=16, population=11, generations=5, **given)

    expected = reference(made(), n=11, ngen=5)
    assert result(made(), n=11, ngen=5) == expected
    assert len(set(expected[0])) == 11


def test_layers_that_rest_have_the_bytes_of_the_plain_loop(digits):
    def made():
        toolbox = make_toolbox("lenet5", digits, ES(features_every=2), seed=1, batch_size=16)
        assert toolbox.resting == (4, 2)  # the kernels and biases of two convolutions
        return toolbox

    expected = reference(made(), n=6, ngen=4)
    assert result(made(), n=6, ngen=4) == expected


def nearly(ind1, ind2, *, rng):
    """A crossover of a user's own that does not say what order it wants."""
    return cxBiased(ind1, ind2, indpb=0.1, rng=rng)


def swapped(first, second):
    """A crossover of a user's own that returns its individuals in the other order, and draws nothing."""
    return second, first


SHARED = "fused", "a mask of a fifth", "annealed", "each with its own sigma", "three mates", "four mates"

OPERATORS = {name: WIRINGS[name] for name in (*SHARED, "around a centre")} | {
    "a part of the weights": lambda: {"mutate": mutation(0.1, indpb=0.3)},
    "drawn noise": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=0.1)},
    "DEAP's crossover": lambda: {"mate": tools.cxTwoPoint},
    "DEAP's operators on numbers": lambda: {
        "mate": elementwise(tools.cxTwoPoint),
        "mutate": elementwise(tools.mutGaussian, mu=0, sigma=0.1, indpb=0.5),
    },
    "split": lambda: {"mate": cxSplit},
    "matrices": lambda: {"mate": partial(cxMatrices, indpb=0.4)},
    "units": lambda: {"mate": cxUnits},
    "biased": lambda: {"mate": cxBiased},
    "a function around biased": lambda: {"mate": nearly},
    "annealed over the run": lambda: {"mutate": mutation(Annealed(0.3, 0.01))},
    "the one-fifth rule": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=OneFifth(0.3, 0.01))},
    "a user's operators": lambda: {"mutate": halve, "mate": cx_rows},
    "a closure": lambda: {"mutate": lambda individual, rng: halve(individual, rng=rng), "mate": swapped},
    "opposites": lambda: {"select": HALF},
    "opposites of four, each with its own sigma": lambda: {
        "mate": cxScanning,
        "mates": 4,
        "mutate": mutation(SelfAdaptive(0.3, 0.01)),
        "select": partial(selRankBoosted, opposites=0.3),
    },
    "bounds": lambda: {
        "select": HALF,
        "mutate": mutation(0.1, bounds=(-1.0, 1.0)),
    },
    "DEAP's selection": lambda: {"select": partial(tools.selTournament, tournsize=3)},
    "around a centre, the ends by weight": lambda: {
        "recombination_weights": partial(recombination_weights, parents=2),
        "mutate": partial(mutGaussianAdaptive, sigma=0.1),
        "step": 0.5,
    },
    "around a centre, a user's mutation": lambda: {
        "mutate": halve,
        "recombination_weights": recombination_weights,
        "step": 1.5,
    },
}


@pytest.mark.parametrize("registered", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("probabilities", [{}, {"cxpb": 0.6, "mutpb": 0.7}], ids=["always", "sometimes"])
@pytest.mark.parametrize("n", [12, 7])
def test_a_toolbox_of_ones_own_has_the_bytes_of_the_plain_loop(registered, probabilities, n):
    expected = reference(wired(**registered()), n=n, **probabilities)
    assert result(wired(**registered()), n=n, **probabilities) == expected
    assert len(set(expected[0])) > 1


@pytest.mark.parametrize("registered", OPERATORS.values(), ids=OPERATORS)
def test_children_with_slots_of_their_own_have_them_too(monkeypatch, registered):
    for name in ("LODGED_WEIGHTS", "LODGED_MATES"):
        monkeypatch.setattr(slots, name, 1)
    lodged = []
    watch = Watch(lambda run: lodged.append(len(run.population[0].make.__self__.known.slots)))
    assert result(wired(**registered(), evaluate=Squares()), callbacks=[watch]) == reference(wired(**registered()))
    assert ("step" in registered()) or min(lodged[1:]) > 6  # more than there are parents
