"""No number is given twice: what follows from model, population and generations is not asked for."""

import numpy as np
import pytest
from deap import algorithms
from wirings import logged

from deap_nn import (
    ES,
    GA,
    Annealed,
    Callback,
    ErrorScaled,
    cxMask,
    evolve,
    make_toolbox,
    usual_step,
)


def without_seed(toolbox):
    from deap import base

    bare = base.Toolbox()
    for name in ("mate", "mutate", "select", "evaluate"):
        setattr(bare, name, getattr(toolbox, name))
    return bare


class TestNoNumberTwice:
    """What follows from model, population and generations is not asked for."""

    def test_step_and_schedule_follow_from_the_run(self, digits):
        toolbox = make_toolbox("mlp", digits, ES(), seed=5, batch_size=16)
        assert toolbox.step == "usual"
        for members, generations in ((8, 3), (12, 6)):
            _, logbook = evolve(toolbox.population(n=members), toolbox, generations)
            assert toolbox.step == usual_step(members, generations, 2, projected=True)
            assert logbook[0]["sigma"] == 0.4
            assert logbook[-1]["sigma"] == pytest.approx(0.1)
        given = make_toolbox("mlp", digits, ES(), seed=5, batch_size=16, generations=12)
        _, logbook = evolve(given.population(n=12), given, 6)
        assert given.step == usual_step(12, 12, 2, projected=True)
        assert logbook[-1]["sigma"] == pytest.approx(0.4 * 0.25**0.5)

    def test_given_arguments_take_the_place_of_the_presets(self, digits):
        toolbox = make_toolbox("mlp", digits, ES(step=1.5, sigma=Annealed(0.2, 0.1), parents=3), seed=5, batch_size=16)
        _, logbook = evolve(toolbox.population(n=8), toolbox, 4)
        assert (toolbox.step, logbook[-1]["sigma"]) == (1.5, pytest.approx(0.1))
        assert np.count_nonzero(toolbox.recombination_weights(20) > 0) == 3
        toolbox = make_toolbox(
            "mlp", digits, GA(boost=7, parents=0.5, sigma=0.2, schedule="constant", mates=2), seed=5, batch_size=16
        )
        assert toolbox.select.keywords["boost"] == 7
        assert toolbox.mate.func is cxMask

    def test_parents_are_a_share_or_a_number(self, digits):
        seen = {}

        class Parents(Callback):
            def on_generation(self, evolution):
                seen[len(evolution.population)] = max(evolution.parents, seen.get(len(evolution.population), 0))

        toolbox = make_toolbox("mlp", digits, GA(parents=0.25), seed=5, batch_size=16)
        for members in (8, 80):
            evolve(toolbox.population(n=members), toolbox, 6, callbacks=[Parents()])
        assert seen[8] <= 4
        assert 15 <= seen[80] <= 20
        usual = make_toolbox("mlp", digits, seed=5, batch_size=16).select.keywords
        assert (usual["parents"], usual["fewest"]) == (0.5, 10)

    def test_the_seed_is_that_of_the_toolbox(self, digits):
        toolbox = make_toolbox("mlp", digits, seed=5, batch_size=16)
        first = logged(*evolve(toolbox.population(n=6), toolbox, 2))
        assert first == logged(*evolve(toolbox.population(n=6), toolbox, 2, seed=5))
        with pytest.raises(ValueError, match="seed must be the toolbox's, 5, or left out, got 6"):
            evolve(toolbox.population(n=6), toolbox, 2, seed=6)
        with pytest.raises(ValueError, match="seed must be given"):
            evolve(toolbox.population(n=6), without_seed(toolbox), 2)

    def test_a_population_by_the_named_number(self, digits):
        toolbox = make_toolbox("mlp", digits, seed=5, batch_size=16, population=7)
        assert [len(toolbox.population()), len(toolbox.population(n=3)), len(toolbox.population(5))] == [7, 3, 5]
        with pytest.raises(ValueError, match="n must be given: make_toolbox got no population"):
            make_toolbox("mlp", digits, seed=5, batch_size=16).population()

    @pytest.mark.parametrize("arguments", [{"sigma": Annealed(0.5, 0.05)}, {"preset": "es"}], ids=["ga", "es"])
    def test_a_resumed_run_keeps_the_schedule_it_was_begun_with(self, digits, tmp_path, arguments):
        def run(ngen, **more):
            toolbox = make_toolbox("mlp", digits, seed=5, batch_size=16, **arguments, **more)
            return evolve(toolbox.population(n=8), toolbox, ngen, checkpoint=tmp_path / "kept" if not more else None)

        _, first = run(3)
        _, resumed = run(6)
        assert resumed[:4] == first
        assert resumed.select("sigma")[3:] == [first[-1]["sigma"]] * 4
        assert resumed == run(6, generations=3)[1]

    def test_a_refused_loop_does_not_spoil_the_toolbox(self, digits):
        toolbox = make_toolbox("mlp", digits, GA(sigma=Annealed(0.5, 0.1)), seed=5, batch_size=16)
        with pytest.raises(ValueError, match="needs the number of generations outside evolve"):
            algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 0.9, 3, verbose=False)
        _, logbook = evolve(toolbox.population(n=6), toolbox, 3)
        assert logbook[-1]["sigma"] == pytest.approx(0.1)

    def test_a_used_adaptation_is_reset_in_another_toolbox(self, digits):
        used = ErrorScaled(0.5)
        first = make_toolbox("mlp", digits, GA(sigma=used), seed=5, batch_size=16)
        evolve(first.population(n=6), first, 2)
        assert make_toolbox("mlp", digits, GA(sigma=first.clock.adaptation), seed=5, batch_size=16).clock.sigma == 0.5

    def test_an_annealed_without_length_says_what_it_lacks(self, digits):
        toolbox = make_toolbox("mlp", digits, GA(sigma=Annealed(0.5, 0.05)), seed=5, batch_size=16)
        with pytest.raises(ValueError, match=r"Annealed\(0.5, 0.05\) needs the number of generations outside evolve"):
            algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 0.9, 3, verbose=False)
        toolbox = make_toolbox("mlp", digits, GA(sigma=Annealed(0.5, 0.05)), seed=5, batch_size=16, generations=3)
        algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 0.9, 3, verbose=False)
        assert toolbox.clock.sigma == pytest.approx(0.05)
