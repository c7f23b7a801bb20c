"""The mean of networks is that of NumPy, and the same network after a resume."""

import copy

import numpy as np
import pytest
from limits import evolve
from own_callbacks import Stop

from deap_nn import ES, GA, Checkpoint, WeightList, make_toolbox
from deap_nn.breeding.genomes import Genomes
from deap_nn.callbacks.candidates import Candidates
from deap_nn.genome.population import mean_of


def test_the_mean_of_individuals_is_that_of_their_weights():
    rng = np.random.default_rng(1)
    members = [WeightList([rng.normal(size=(3, 2)), rng.normal(size=4)]) for _ in range(5)]
    before = copy.deepcopy(members)
    made = mean_of(members)
    expected = np.mean([member.flat.astype(np.float64) for member in members], axis=0).astype(np.float32)
    assert made.flat.tobytes() == expected.tobytes()
    assert members == before
    assert made.flat.dtype == np.float32
    with pytest.raises(ValueError, match="individuals must not be empty"):
        mean_of([])
    with pytest.raises(ValueError, match="individuals must have the same shapes"):
        mean_of([members[0], WeightList([np.zeros(10)])])


@pytest.mark.parametrize("algorithm", [GA(parents=40), ES(parents=40, step=1.0)], ids=["ga", "es"])
def test_a_mean_that_did_best_is_the_same_network_after_a_resume(digits, tmp_path, monkeypatch, algorithm):
    monkeypatch.setattr("deap_nn.callbacks.candidates.SCORED_EVERY", 1)

    def run(stop, checkpoint=None):
        toolbox = make_toolbox("mlp", digits, algorithm, seed=1, batch_size=16)
        candidates = Candidates(toolbox)
        candidates._score = lambda evolution, candidate, kind, _: score(candidates, evolution, candidate, kind)
        arguments = {"seed": 1, "checkpoint": checkpoint, "keyframe_weights": None}
        callbacks = [candidates, *([Stop(stop)] if stop is not None else [])]
        try:
            evolve(toolbox.population(n=80), toolbox, 14, callbacks=callbacks, **arguments)
        except KeyboardInterrupt:
            assert stop is not None
        return candidates.individual.flat.tobytes(), candidates.generation, candidates.kind

    def score(candidates, evolution, candidate, kind):
        """Let the mean of generation 9 be the best there is."""
        error = 0.1 if (evolution.generation, kind) == (9, "mean of the parents") else 0.5
        if error < candidates.validation_error:
            candidates.individual, candidates.validation_error = copy.deepcopy(candidate), error
            candidates.generation, candidates.kind = evolution.generation, kind
        return error

    bred, breed = [], Genomes._breed_ancestor
    monkeypatch.setattr(Genomes, "_breed_ancestor", lambda *a, **k: (bred.append(a[1].id), breed(*a, **k))[1])
    expected = run(None)
    assert expected[1:] == (9, "mean of the parents")
    for stop in (10, 12, None):  # broken off twice, the second time after it was restored
        bred.clear()
        checkpoint = Checkpoint(tmp_path)
        assert run(stop, checkpoint) == expected
        checkpoint.close()
        assert len(bred) == len(set(bred)) > 0  # nothing was bred twice
