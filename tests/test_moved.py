"""Modules by their former names: each leads to where its parts are now."""

import importlib
import pickle
import subprocess
import sys
import warnings

import pytest

import deap_nn
from deap_nn.moved import IN_PICKLES, MOVED


@pytest.mark.parametrize("former", sorted(MOVED))
def test_a_former_name_leads_to_the_parts(former):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        sys.modules.pop(f"deap_nn.{former}", None)
        module = importlib.import_module(f"deap_nn.{former}")
    said = [str(warning.message) for warning in found if warning.category is DeprecationWarning]
    assert bool(said) == (former not in IN_PICKLES)
    for place in MOVED[former]:
        now = importlib.import_module(f"deap_nn.{place}")
        assert not said or now.__name__ in said[0]
        own = [value for value in vars(now).values() if getattr(value, "__module__", None) == now.__name__]
        assert any(getattr(module, value.__name__) is value for value in own if hasattr(value, "__name__")) or not own
    with pytest.raises(AttributeError, match=f"module 'deap_nn.{former}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("former", "name"),
    [
        ("weights", "WeightList"),
        ("crossover", "cxScanning"),
        ("adaptation", "Annealed"),
        ("toolbox", "Individual"),
        ("checkpoint", "Checkpoint"),
        ("checkpoint", "CheckpointError"),
        ("datasets", "load_dataset"),
        ("algorithms", "evolve"),
        ("runs", "read_run"),
        ("maps", "open_map"),
        ("models", "build_model"),
        ("operators", "OPERATORS"),
        ("problems", "of_labelled_data"),
        ("report", "draw_run"),
    ],
)
@pytest.mark.filterwarnings("ignore:deap_nn.* is deap_nn.* now:DeprecationWarning")
def test_what_was_imported_from_a_module_is_still_there(former, name):
    found = getattr(importlib.import_module(f"deap_nn.{former}"), name)
    assert found is getattr(deap_nn, name, found)
    assert getattr(getattr(deap_nn, former), name) is found


def test_a_script_that_says_parallel_gets_its_functions_and_a_warning():
    code = "from deap_nn.parallel import current_map, prepare_worker; prepare_worker(); print(current_map() is map)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"
    assert "DeprecationWarning: deap_nn.parallel is deap_nn.process.signals and" in answer.stderr


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("deap_nn.nothing")
    with pytest.raises(AttributeError):
        deap_nn.nothing  # noqa: B018


def test_a_pickle_by_the_former_name_loads_without_a_warning():
    assert pickle.loads(b"cdeap_nn.weights\nWeightList\n.") is deap_nn.WeightList


def test_public_names_lie_where_the_roof_says():
    for name, place in deap_nn._PLACES.items():
        assert getattr(deap_nn, name) is getattr(importlib.import_module(f"deap_nn.{place}"), name)
    assert sorted(deap_nn._PLACES) == sorted(deap_nn.__all__)
    assert set(deap_nn.__all__) <= set(dir(deap_nn))
