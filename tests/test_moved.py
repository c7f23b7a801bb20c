"""Modules by their former names: each leads to where its parts are now."""

import ast
import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import deap_nn
from deap_nn.moved import IN_PICKLES, MOVED, RENAMED

FORMER = {
    "adaptation": "State Constant ErrorScaled Adapting",
    "algorithm_names": "FITNESS_NAMES",
    "answers": "answers_of take_rounded",
    "broker_sockets": "ENDPOINT",
    "callbacks.readouts": "READOUT_EVERY VOTERS Readouts",
    "charts": "COLOURS",
    "checkpoint": "MAGIC SYNC_SECONDS",
    "clock": "told_of Clock",
    "commandline": "COMMANDS",
    "commands": "InputError Parser",
    "comparison": "LEFT_OUT",
    "compiled": "LARGE",
    "crossover": "Genome MOST_MATES",
    "csv_logger": "CSVLogger",
    "datafiles": "Array",
    "datasets": "Split NAMES VALIDATION_SIZE",
    "descriptions": "OURS",
    "dispatch": "Map",
    "environment": "PINNED",
    "evaluation": "FitnessName Task",
    "evolution": "Evolution",
    "exhibits": "MOST_ROWS MOST_CLASSES write_answers ANSWERS_FILE",
    "extras": "optional",
    "family": "FOUNDERS",
    "founders": "initPopulation",
    "frames": "to_dataframe",
    "fused": "cross_and_mutate",
    "generate_update": "GenerateUpdate",
    "genome_cache": "SEGMENT_BYTES claim",
    "genome_tasks": "SentContext",
    "genomes": "LackingError",
    "groups": "VECTORISED",
    "html_report": "REPORT_FILE",
    "initialisation": "Individual",
    "keras_extras": "EXTRAS",
    "keras_problem": "CompiledFunction",
    "keyframes": "MAGIC",
    "limits": "WORST",
    "lineage": "COLD",
    "live": "SECONDS",
    "logbooks": "Row plain",
    "made_toolbox": "MadeToolbox",
    "markup": "paragraph",
    "mating": "CrossoverName",
    "members": "LightMember mean_of",
    "mlflow_logger": "MOST_AT_ONCE",
    "model_fit": "LEAST_SCALE",
    "model_state": "Asset",
    "mutation": "Genome",
    "noise": "SMALLEST_TABLE",
    "objectives": "Kind Judge",
    "own_parts": "is_own own_parts",
    "parallel": "GRACE_SECONDS LAUNCHED processors current_map",
    "pedigree": "Places",
    "plain_files": "SMALL_BYTES",
    "pooled": "mutate_around",
    "population": "SHOWN",
    "presets": "PresetName",
    "private_folders": "ABANDONED_SECONDS",
    "progress": "in_notebook",
    "reading": "Columns",
    "recipes": "SCANNED Recipe Weigh",
    "resuming": "KEYFRAME_SECONDS",
    "rounding": "round_block",
    "run_files": "MOST_POINTS",
    "run_settings": "CONFIG",
    "rundir": "TIMING_COLUMNS",
    "samples": "Nest",
    "scoop_repairs": "REPORT_SECONDS",
    "scorers": "Map GROUPED_WEIGHTS GROUPED_CHUNK",
    "scoring": "CHUNK",
    "seeding": "MAX_SEED",
    "selection": "Individual rank_weights",
    "settings_record": "VERSION",
    "sharing": "Map",
    "tensorboard_logger": "EVERY",
    "tensorflow_setup": "configure_tensorflow",
    "toolbox": "FitnessMin LARGEST_STEP",
    "variation": "strength_of",
    "weight_files": "WeightsError",
    "weight_trace": "TRACED",
    "weights": "Matrix check_generator last_part WeightList",
    "wiring": "toolbox_of",
    "worker": "CANNOT_IMPORT",
}
"""Of each module that has moved some names that it had, at least one from each of its parts."""


def test_each_former_module_is_known():
    assert sorted(FORMER) == sorted(MOVED)


@pytest.mark.parametrize("former", sorted(FORMER))
def test_a_former_name_leads_to_the_parts(former):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        sys.modules.pop(f"deap_nn.{former}", None)
        module = importlib.import_module(f"deap_nn.{former}")
    said = [str(warning.message) for warning in found if warning.category is DeprecationWarning]
    message = [f"deap_nn.{former} has moved to {' and '.join(f'deap_nn.{place}' for place in MOVED[former])}"]
    assert said == ([] if former in IN_PICKLES else message)
    places = [importlib.import_module(f"deap_nn.{place}") for place in MOVED[former]]
    for name in FORMER[former].split():
        now = RENAMED.get(name, name)
        assert any(getattr(module, name) is getattr(place, now) for place in places if hasattr(place, now)), name
    with pytest.raises(AttributeError, match=f"module 'deap_nn.{former}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018  (it raises)


def test_what_is_set_in_a_former_module_is_set_where_it_is_read():
    former, now = (importlib.import_module(f"deap_nn.{name}") for name in ("weights", "genome.vectors"))
    before = now.ALIGNMENT
    former.ALIGNMENT = 2 * before
    try:
        assert 2 * before == now.ALIGNMENT
    finally:
        now.ALIGNMENT = before
    assert before == former.ALIGNMENT


def test_a_module_that_is_imported_from_the_package_by_its_former_name_is_warned_of():
    sys.modules.pop("deap_nn.parallel", None)
    vars(deap_nn).pop("parallel", None)
    with pytest.warns(
        DeprecationWarning, match=r"deap_nn\.parallel has moved to deap_nn\.process\.signals and"
    ) as found:
        from deap_nn import parallel
    assert [warning.filename for warning in found] == [__file__]
    assert callable(parallel.prepare_worker)


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
@pytest.mark.filterwarnings("ignore:deap_nn.* has moved to deap_nn.*:DeprecationWarning")
def test_what_was_imported_from_a_module_is_still_there(former, name):
    found = getattr(importlib.import_module(f"deap_nn.{former}"), name)
    assert found is getattr(deap_nn, name, found)
    assert getattr(getattr(deap_nn, former), name) is found


def test_a_script_that_says_parallel_gets_its_functions_and_a_warning():
    code = "from deap_nn.parallel import current_map, prepare_worker; prepare_worker(); print(current_map() is map)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"
    assert "DeprecationWarning: deap_nn.parallel has moved to deap_nn.process.signals and" in answer.stderr


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("deap_nn.nothing")
    with pytest.raises(AttributeError):
        deap_nn.nothing  # noqa: B018  (it raises)


def test_a_pickle_by_the_former_name_loads_without_a_warning():
    assert pickle.loads(b"cdeap_nn.weights\nWeightList\n.") is deap_nn.WeightList


def test_public_names_are_found_where_a_type_checker_finds_them():
    tree = ast.parse(Path(deap_nn.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    typed = {alias.asname: node.module for node in imports for alias in node.names if alias.asname}
    assert typed.pop("keras") == "deap_nn.models.tensorflow"  # it is heavy, so `__all__` lacks it
    for name, place in typed.items():
        assert getattr(deap_nn, name) is getattr(importlib.import_module(place), name)
    assert set(deap_nn.__all__) == typed.keys() <= set(dir(deap_nn))
