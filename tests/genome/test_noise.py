"""The table of noise, and what is made of it: mutations and founders."""

import math

import numpy as np
import pytest
from conftest import normal_moments_fit

import deap_nn
from deap_nn import Layout, NoiseTable, WeightList
from deap_nn.operators.initialisation import fan_in_scales, widest_scales


def test_a_noise_table_is_normal_and_gives_slices_of_itself():
    table = NoiseTable(3, weights=50_000)
    assert normal_moments_fit(table.array(), 1.0)
    assert table.array() is NoiseTable(3, 50_000).array()
    assert table.sha256() != NoiseTable(4, 50_000).sha256()
    with pytest.raises(ValueError, match="read-only"):
        table.array()[0] = 1
    starts = set()
    for seed in range(20):
        individual = WeightList([np.zeros((100, 5)), np.zeros(7)])
        deap_nn.mutGaussianAdaptive(individual, sigma=0.5, scale=[2, 4], noise=table, rng=np.random.default_rng(seed))
        (start,) = np.flatnonzero(table.array() == individual.flat[0])
        starts.add(int(start))
        assert np.array_equal(individual[0].ravel(), table.array()[start : start + 500])
        assert np.array_equal(individual[1], 2 * table.array()[start + 500 : start + 507])
    assert len(starts) == 20
    assert max(starts) - min(starts) > table.size / 2


def test_a_process_with_another_noise_table_is_refused():
    pinned = NoiseTable(3, 50_000).pinned()
    assert pinned.array() is NoiseTable(3, 50_000).array()
    assert pinned.sha256() == NoiseTable(3, 50_000).sha256()
    with pytest.raises(ValueError, match=r"noise table on .* differs from the run's: NumPy"):
        NoiseTable(3, 50_000, digest="0" * 64).array()


def test_a_slice_can_be_the_whole_table_and_its_ends():
    table = np.arange(4, dtype=np.float32)
    starts = set()
    for seed in range(50):
        individual = WeightList([np.zeros(3)])
        deap_nn.mutGaussianAdaptive(individual, sigma=1.0, noise=table, rng=np.random.default_rng(seed))
        starts.add(individual.flat[0])
    assert starts == {0, 1}


def test_scaled_start_has_the_variance_of_he():
    layout = Layout(("conv/kernel", "bias", "norm/gamma", "dense"), ((5, 5, 16, 40), (40,), (40,), (1000, 30)))
    conv, bias, gamma, dense = deap_nn.initScaled(list, layout, rng=np.random.default_rng(1))
    assert normal_moments_fit(conv.ravel(), math.sqrt(2 / 400))
    assert normal_moments_fit(dense.ravel(), math.sqrt(2 / 1000))
    assert not normal_moments_fit(dense.ravel(), math.sqrt(1 / 1000))
    assert not bias.any()
    assert (gamma == 1).all()


def test_biases_and_gains_of_two_dimensions_are_no_matrices():
    layout = Layout(
        ("gru/kernel", "gru/bias", "attention/query/bias", "norm/gamma"), ((8, 30), (2, 30), (4, 3), (2, 3))
    )
    kernel, *vectors, gamma = deap_nn.initScaled(list, layout, rng=np.random.default_rng(1))
    assert kernel.all()
    assert not any(vector.any() for vector in vectors)
    assert (gamma == 1).all()
    assert fan_in_scales(layout) == (0.5,) * 4
    assert layout.vectors == (False, True, True, True)
    own = Layout(("up_scale", "unbias", "gamma_2", "kernel_3"), ((3, 3), (3, 3), (3,), (3, 3)))
    assert own.vectors == (False, False, True, False)
    assert [bool(matrix.all()) for matrix in deap_nn.initScaled(list, own, rng=np.random.default_rng(1))] == [True] * 4


def test_the_widest_matrix_gives_the_scale_of_all():
    """Vectors, as a gain that comes first with a scale of 1, do not count."""
    layout = Layout(("norm/gamma", "a/kernel", "a/bias", "b/kernel"), ((5,), (8, 50), (50,), (50, 2)))
    assert fan_in_scales(layout) == (1.0, 0.5, 0.5, 0.2)
    assert widest_scales(layout) == (0.2,) * 4
    assert widest_scales(Layout(("gamma",), ((3,),))) == (1.0,)


@pytest.mark.parametrize(("init", "deviation"), [("initNormal", 1.0), ("initScaled", math.sqrt(2 / 300))])
def test_founders_of_a_table_are_normal_and_differ(init, deviation):
    layout = Layout(("kernel", "bias"), ((300, 100), (100,)))
    table = NoiseTable(5, layout.size)
    founders = []
    for seed in range(10):
        kernel, bias = getattr(deap_nn, init)(list, layout, noise=table, rng=np.random.default_rng(seed))
        founders.append(kernel.ravel())
        assert normal_moments_fit(founders[-1], deviation)
        assert not normal_moments_fit(founders[-1], deviation * 1.03)
        assert bool(bias.any()) == (init == "initNormal")
    correlations = np.corrcoef(founders)[np.triu_indices(10, 1)]
    assert abs(correlations).max() < 5 / math.sqrt(30_000)


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.8])
def test_related_founders_share_a_part_of_their_weights(spread):
    layout = Layout(("kernel", "bias"), ((300, 100), (100,)))
    founders = []
    for seed in range(8):
        options = {"noise": NoiseTable(5, layout.size), "spread": spread, "rng": np.random.default_rng(seed)}
        kernel, bias = deap_nn.initScaled(list, layout, **options)
        founders.append(kernel.ravel())
        assert normal_moments_fit(founders[-1], math.sqrt(2 / 300))
        assert not bias.any()
    correlations = np.corrcoef(founders)[np.triu_indices(8, 1)]
    assert abs(correlations - (1 - spread**2)).max() < 5 / math.sqrt(30_000)
    other = deap_nn.initScaled(list, layout, **(options | {"noise": NoiseTable(6, layout.size)}))[0].ravel()
    assert abs(np.corrcoef(founders[0], other)[0, 1]) < 5 / math.sqrt(30_000)  # another seed, another network


def test_a_founder_is_the_sum_of_two_stretches_that_share_nothing():
    layout = Layout(("a",), ((3,),))
    table = (2.0 ** np.arange(8)).astype(np.float32)  # a sum tells its terms
    starts = set()
    for seed in range(200):
        (weights,) = deap_nn.initNormal(list, layout, sigma=2**0.5, noise=table, rng=np.random.default_rng(seed))
        terms = [[place for place in range(8) if round(float(weight)) >> place & 1] for weight in weights]
        first, second = terms[0]
        assert terms == [[first + i, second + i] for i in range(3)]
        assert second - first >= 3
        starts.add((first, second))
    assert starts == {(0, 3), (0, 4), (0, 5), (1, 4), (1, 5), (2, 5)}


def test_the_processes_of_a_host_read_one_table_of_noise(tmp_path):
    table = NoiseTable(5, 1000).pinned()
    numbers = table.array()
    table.share(tmp_path / "nowhere")
    assert table.array() is numbers
    table.share(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == numbers.tobytes()
    mapped = table.array()
    assert mapped is not numbers
    assert not mapped.flags.writeable
    assert mapped.tobytes() == numbers.tobytes()
    with open(path, "r+b") as file:  # what another process had made otherwise would be seen and refused
        file.write(b"1234")
    table.share(tmp_path)
    with pytest.raises(ValueError, match="differs from the run's"):
        table.array()
