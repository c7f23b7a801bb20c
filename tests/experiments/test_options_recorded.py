"""Each option of ``experiments/mnist.py`` that decides a number is in the record by which a resume is refused."""

import argparse

import numpy as np
import pytest
from conftest import ROOT, made_digits
from deap_nn.algorithms.toolbox.from_settings import toolbox_of
from deap_nn.algorithms.toolbox.settings import SETTINGS
from mnist_options import complete, make_parser

from deap_nn.algorithms.settings_record import SettingsError, check_settings, settings_record
from deap_nn.data.loading import load_dataset

BASE = ("--model=mlp", "--population=12", "--generations=4", "--batch-size=16")
ES, ANNEALED = ("--preset=es",), ("--schedule=linear",)

DECIDES = {
    "population": ("population", (), ("--population=14",)),
    "parents": ("select.parents", (), ("--parents=5",)),
    "crossover": ("mate", (), ("--crossover=biased",)),
    "pressure": ("select.pressure", (), ("--pressure=1.6",)),
    "boost": ("select.boost", (), ("--boost=3",)),
    "opposites": ("select.opposites", (), ("--opposites=0",)),
    "spread": ("individual.spread", (), ("--spread=1",)),
    "tournsize": ("select", (), ("--tournsize=3",)),
    "mates": ("mates", (), ("--mates=3",)),
    "indpb": ("mate.indpb", ("--indpb=0.5",), ("--indpb=0.4",)),
    "step": ("step", ES, (*ES, "--step=2")),
    "sampling": ("weigh", ES, (*ES, "--sampling=mirrored")),
    "projected": ("projected", (), ("--projected=no",)),
    "batch_size": ("batch_size", (), ("--batch-size=17",)),
    "batch_generations": ("batch_generations", (), ("--batch-generations=2",)),
    "centred": ("centred", (), ("--centred=no",)),
    "stratified": ("stratified", (), ("--stratified=no",)),
    "seed": ("seed", (), ("--seed=2",)),
    "model": ("model", (), ("--model=lenet5",)),
    "keras": ("model", (), ("--keras", "own.keras")),
    "init_weights": ("individual.weights", ("--init", "one.npz"), ("--init", "other.npz")),
    "fitness": ("fitness", (), ("--fitness=error",)),
    "preset": ("select.boost", (), ("--preset=article",)),
    "sigma": ("mutate.sigma", (), ("--sigma=0.2",)),
    "schedule": ("mutate.sigma", ANNEALED, ("--schedule=geometric",)),
    "final_sigma": ("mutate.sigma", ANNEALED, (*ANNEALED, "--final-sigma=0.02")),
    "schedule_generations": ("mutate.sigma", ANNEALED, (*ANNEALED, "--schedule-generations=7")),
    "scale": ("mutate.scale", (), ("--scale=own",)),
    "mutation_indpb": ("mutate.indpb", (), ("--mutation-indpb=0.5",)),
    "mutated_matrices": ("mutate.matrices", (), ("--mutated-matrices=one",)),
    "data": ("data", (), ("--data", "other digits.npz")),
    "dataset": ("data", (), ("--dataset=mnist5k",)),
    "validation_size": ("validation_size", (), ("--validation-size=20",)),
    "precision": ("precision", (), ("--precision=bfloat16",)),
    "threads": ("threads", (), ("--threads=2",)),
}
"""By option: the setting that a change of it changes, options before, and options after."""

DECIDES_NONE = {"generations", "target", "patience", "max_seconds", "output", "no_progress"}
DECIDES_NONE |= {"cache", "cache_size", "keyframes", "keyframe_space", "group_size", "map", "workers"}
DECIDES_NONE |= {"scheduler", "training_size", "voters"}  # how the result is shown
ELSEWHERE = {"device", "force", "resume", "breeding"}
"""A GPU is not here, and a plain run is not resumed."""


@pytest.fixture(scope="module")
def records(tmp_path_factory, digits_file):
    """Return a function that makes the record of options, each once."""
    folder, known = tmp_path_factory.mktemp("options"), {}
    np.savez(folder / "other digits.npz", **made_digits(seed=5)._asdict())
    shapes = {"hidden/kernel": (784, 64), "hidden/bias": (64,), "output/kernel": (64, 10), "output/bias": (10,)}
    for name, value in (("one", 0.0), ("other", 0.1)):
        np.savez(folder / f"{name}.npz", **{key: np.full(shape, value) for key, shape in shapes.items()})
    (folder / "own.keras").write_bytes((ROOT / "tests" / "runs_before" / "mask" / "model.keras").read_bytes())

    def record(options: tuple[str, ...]):
        if options not in known:
            own = [str(folder / option) if (folder / option).exists() else option for option in options]
            base = [option for option in BASE if not ("--keras" in options and option.startswith("--model"))]
            data = [] if {"--data", "--dataset=mnist5k"} & set(options) else ["--data", str(digits_file)]
            given = complete(make_parser().parse_args([*base, *data, *own]))
            dataset = load_dataset(given.dataset, given.data)
            toolbox = toolbox_of(SETTINGS[given.preset] | vars(given), dataset)
            members = toolbox.population(n=given.population)
            known[options] = settings_record(toolbox, members, seed=given.seed, cxpb=1.0, mutpb=1.0)
        return known[options]

    return record


@pytest.mark.parametrize("option", DECIDES)
def test_a_change_is_seen_in_the_record_and_named(records, tmp_path, option):
    setting, before, after = DECIDES[option]
    recorded, present = records(before), records(after)
    differing = {name for name in recorded.keys() | present.keys() if recorded.get(name) != present.get(name)}
    assert setting in differing
    with pytest.raises(SettingsError, match=rf"is of a run with other settings: {min(differing)} was .* and is "):
        check_settings(recorded, present, tmp_path)


def test_every_option_decides_a_number_or_none():
    options = {action.dest for action in make_parser()._actions if not isinstance(action, argparse._HelpAction)}
    assert options == DECIDES.keys() | DECIDES_NONE | ELSEWHERE
