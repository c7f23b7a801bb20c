"""The table of settings: what older runs had, what has an effect with what, and the arguments of `make_toolbox`."""

import inspect

import pytest
from deap_nn.algorithms.toolbox.from_settings import OTHERWISE
from deap_nn.algorithms.toolbox.settings import NAMES, OPTIONS, SETTINGS, TABLE, add_settings, as_now

from deap_nn import make_toolbox
from deap_nn.process.cli import Parser


def test_each_argument_of_make_toolbox_is_a_setting():
    arguments = inspect.signature(make_toolbox).parameters.keys() - OTHERWISE
    assert arguments - {setting.name for setting in TABLE} == {"container", "boosted", "bounds"}


def test_each_name_and_option_is_there_once():
    for names in ([setting.name for setting in TABLE], [setting.option for setting in OPTIONS.values()]):
        assert len(set(names)) == len(names)


def test_what_a_setting_needs_is_decided_before_it():
    """The command fills settings in by the order of the table."""
    places = list(OPTIONS)
    for setting in OPTIONS.values():
        if setting.needs is not None:
            needed, values = setting.needs
            assert OPTIONS[needed].default is not None or places.index(needed) < places.index(setting.name)
            assert set(values) < set(OPTIONS[needed].kind["choices"])


def test_older_runs_get_what_there_was_no_choice_of():
    pairs = as_now({"preset": "ga", "crossover": "mask"})
    assert (pairs["mates"], pairs["mutation_indpb"], pairs["opposites"], pairs["centred"]) == (
        2,
        1.0,
        0.0,
        False,
    )
    assert (pairs["spread"], pairs["stratified"]) == (1.0, False)
    assert "sampling" not in pairs
    centre = as_now({"preset": "default", "crossover": "mean", "step": 2.0})
    assert (centre["preset"], centre["sampling"]) == ("es", "mirrored")
    assert "mates" not in centre


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        ({"step": None, "tournsize": None}, {"step", "sampling"}),
        ({"tournsize": 3}, {"step", "sampling", "pressure", "boost", "opposites", "parents"}),
        (
            {"step": 2.0},
            {"crossover", "pressure", "boost", "opposites", "tournsize", "mates", "indpb"} | {"spread"},
        ),
    ],
)
def test_what_has_an_effect_goes_by_how_parents_are_chosen(settings, without):
    assert {setting.name for setting in TABLE if not setting.has_effect(settings)} == without


def test_the_help_has_the_values_of_the_presets_that_use_them():
    parser = Parser("")
    add_settings(parser)
    said = {action.dest: action.help for action in parser._actions}
    assert said["pressure"] == "pressure of linear ranking, 1 to 2 [1.5, article 2.0]"
    assert said["scale"].endswith(" [fixed, es widest, article none]")
    assert said["sampling"].endswith(" [independent]")
    assert said["mates"].endswith(" [4, article 2]")
    assert "{" not in "".join(said.values())
    assert [name for name in SETTINGS if name in NAMES] == list(NAMES)
