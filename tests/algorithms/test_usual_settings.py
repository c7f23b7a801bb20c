"""What a preset decides by the model, the mini-batch and the options that are given."""

import numpy as np
import pytest
from deap_nn.algorithms.toolbox.presets import usual_settings
from deap_nn.algorithms.toolbox.settings import WIDEST

from deap_nn import GA, Annealed, Individual, Layout, initAround, make_toolbox, usual_step
from deap_nn.models.reference import reference_of
from deap_nn.operators.initialisation import fan_in_scales, widest_scales

DECIDED = ("centred", "projected", "sigma", "final_sigma", "scale")
PROJECTED = {"es": (True, True, 0.4, 0.25, "widest"), "ga": (True, True, 0.128, None, "fixed")}
PLAIN = {"es": (True, False, 0.5, 0.05, "fan_in"), "ga": (True, False, 0.1, None, "fan_in")}
UNCENTRED = {preset: (False, *decided[1:]) for preset, decided in PLAIN.items()}


@pytest.mark.parametrize("preset", ["ga", "es"])
@pytest.mark.parametrize(
    ("given", "decided"),
    [
        (("mlp",), PROJECTED),
        (("mlp", 783), PROJECTED),
        (("mlp", 784), PLAIN),
        (("lenet5", 400), PLAIN),
        (("mnist_deep", 3135), PROJECTED),
        (("mlp", 64, None, False), PLAIN),
        (("mlp", 64, False), UNCENTRED),
        (("mlp", 1), UNCENTRED),
        ((None,), UNCENTRED),
        ((None, 64, True), PLAIN),
        ((None, 64, True, True), {"es": PROJECTED["es"], "ga": (True, True, *PLAIN["ga"][2:])}),
    ],
)
def test_steps_are_projected_where_layers_are_centred_and_wider_than_the_mini_batch(preset, given, decided):
    usual = usual_settings(preset, *given)
    assert tuple(usual[name] for name in DECIDED) == decided[preset]


@pytest.mark.parametrize("name", WIDEST)
def test_the_widest_layers_are_those_of_the_models(name):
    layout = reference_of(name).layout
    dense = [shape[0] for shape in layout.shapes if len(shape) == 2]
    assert WIDEST[name] == max(dense) == max(layout.fan_ins)


def test_steps_are_longer_if_they_are_projected(digits):
    assert usual_step(200, 300, 4, projected=True) == pytest.approx(2.5 * usual_step(200, 300, 4))
    words = {"seed": 1, "preset": "es", "batch_size": 16, "population": 8, "generations": 5}
    projected, plain = (make_toolbox("mlp", digits, GA(projected=projected), **words) for projected in (None, False))
    assert (projected.step, plain.step) == (usual_step(8, 5, 2, projected=True), usual_step(8, 5, 2))
    assert [repr(toolbox.mutate.keywords["sigma"]) for toolbox in (projected, plain)] == [
        repr(Annealed(0.4, 0.1)),
        repr(Annealed(0.5, 0.025)),
    ]


def test_founders_around_given_weights_are_as_far_apart_as_the_scale_says():
    layout = Layout(("one", "two"), ((400, 50), (50, 400)))
    weights = [np.ones(shape) for shape in layout.shapes]
    for scale, expected in ((None, fan_in_scales(layout)), ((3.0, 0.0), (3.0, 0.0))):
        made = initAround(Individual, layout, weights=weights, sigma=0.5, scale=scale, rng=np.random.default_rng(1))
        assert [matrix.std() for matrix in made] == pytest.approx([0.5 * one for one in expected], rel=0.05)
    for wrong, said in (
        ((1.0,), "scale must have a factor for each of 2 matrices, got 1"),
        ((1.0, -1.0), "scale must"),
    ):
        with pytest.raises(ValueError, match=said):
            initAround(Individual, layout, weights=weights, sigma=0.5, scale=wrong, rng=np.random.default_rng(1))


def test_an_array_is_a_scale_of_founders_around_given_weights_too(digits):
    weights = [np.zeros(shape) for shape in make_toolbox("mlp", digits, seed=1).layout.shapes]
    toolbox = make_toolbox("mlp", digits, GA(scale=np.ones(4)), seed=1, init=weights)
    assert toolbox.population(n=2)[1][0].std() == pytest.approx(0.128 * (2 / 784) ** 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("preset", "projected", "sigma", "scales"),
    [
        ("ga", True, 0.128, fan_in_scales),
        ("ga", False, 0.1, fan_in_scales),
        ("es", True, 0.4, widest_scales),
        ("es", False, 0.5, fan_in_scales),
    ],
)
def test_founders_around_given_weights_have_the_scale_of_the_mutation(digits, preset, projected, sigma, scales):
    words = {"seed": 1, "preset": preset, "batch_size": 16, "projected": projected}
    weights = [np.zeros(shape) for shape in make_toolbox("mlp", digits, **words).layout.shapes]
    toolbox = make_toolbox("mlp", digits, **words, init=weights)
    second = toolbox.population(n=2)[1]
    wanted = sigma * np.array(scales(toolbox.layout))
    assert [second[place].std() for place in (0, 2)] == pytest.approx(wanted[[0, 2]], rel=0.1)
