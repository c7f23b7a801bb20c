"""What decides no number may be other when a run goes on: it ends with the bytes of a run that was never broken."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from limits import evolve
from own_callbacks import Count
from wirings import logged, result, wired

from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.run_directory import RunDirectory

GENERATIONS = 8
BELOW = 0.0
"""A target that no member reaches: the sum of the squares of the weights."""


@pytest.fixture(scope="module")
def whole():
    """The result of a run that was never broken."""
    return result(wired(), ngen=GENERATIONS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"target": 1e9}, {"target": None, "patience": 50}),
        ({"target": 1e9}, {"target": BELOW}),
        ({"target": BELOW}, {"patience": 50}),
        ({"patience": 1}, {"target": BELOW}),
        ({"patience": 1}, {"patience": 50}),
        ({"max_seconds": 0.0}, {"max_seconds": 1e6}),
        ({"max_seconds": 0.0}, {"target": BELOW}),
    ],
    ids=str,
)
def test_what_stops_a_run(tmp_path, whole, before, after):
    toolbox = wired()
    first = evolve(
        toolbox.population(n=12), toolbox, GENERATIONS, seed=1, checkpoint=tmp_path, callbacks=[EarlyStopping(**before)]
    )
    stopped = len(first[1]) - 1
    assert (stopped == GENERATIONS) == (before == {"target": BELOW})
    options = {"seed": 1, "checkpoint": tmp_path, "callbacks": [EarlyStopping(**after)]}
    toolbox = wired()
    assert logged(*evolve(toolbox.population(n=12), toolbox, GENERATIONS, **options)) == whole
    toolbox = wired()
    options["callbacks"] = []  # and no such callback at all
    assert logged(*evolve(toolbox.population(n=12), toolbox, GENERATIONS, **options)) == whole


@pytest.mark.parametrize("broken_at", [0, 3, GENERATIONS - 1])
@pytest.mark.parametrize(
    "changed",
    [
        {"group_size": 3},
        {"cache": "cache", "cache_size": 50 << 20},
        {"keyframe_seconds": 0.0},
        {"keyframe_seconds": None, "keyframe_bytes": 0},
        {"map": "threads"},
        {"callbacks": "some"},
        {"verbose": True},
    ],
    ids=str,
)
def test_how_a_run_is_computed_and_reported(tmp_path, whole, changed, broken_at):
    (tmp_path / "cache").mkdir()
    kept, (toolbox, again) = tmp_path / "run" / "checkpoint", (wired(), wired())
    options = {name: value for name, value in changed.items() if name != "map"}
    if "cache" in changed:
        options["cache"] = tmp_path / "cache"
    with RunDirectory(tmp_path / "run") as directory, ThreadPoolExecutor(2) as threads:
        if "callbacks" in changed:
            options["callbacks"] = [Count(), ProgressBar(), directory]
        if "map" in changed:
            again.register("map", partial(threads.map))
        evolve(toolbox.population(n=12), toolbox, broken_at, seed=1, checkpoint=kept, callbacks=[directory])
        directory.close("interrupted")
        if "callbacks" in changed:
            options["callbacks"] = [ProgressBar()]
        found = evolve(again.population(n=12), again, GENERATIONS, seed=1, checkpoint=kept, **options)
    assert logged(*found) == whole
