"""The house: imports point down, and the heavy packages stay in their rooms."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from deap_nn.maps import MAPS

PACKAGE = ROOT / "deap_nn"

FLOORS = [
    {"markup", "extras", "keras_extras", "plain_files"},
    {"private_folders"},
    {"seeding", "weights", "operators", "logbooks", "datafiles", "checkpoint", "onlooker", "scoop_repairs"}
    | {"broker_sockets"},
    {"limits", "adaptation", "population", "frames", "charts"},
    {"genome_cache", "keyframes", "clock", "presets"},
    {"sharing"},
    {"parallel"},
    {"datasets", "tensorflow_setup", "commands", "noise", "environment"},
    {"answers", "own_parts", "model_state"},
    {"reading", "run_settings"},
    {"models", "runs", "initialisation", "crossover", "mutation", "selection", "compiled"},
    {"rounding"},
    {"fused", "pooled", "groups", "weight_files", "model_fit", "comparison", "mating", "family"},
    {"scorers", "recipes", "samples", "objectives"},
    {"evaluation", "scoring", "keras_problem"},
    {"problems"},
    {"genomes", "members", "elitism", "pedigree"},
    {"genome_tasks"},
    {"dispatch"},
    {"lineage", "evolution"},
    {"founders", "variation"},
    {"made_toolbox"},
    {"generate_update", "algorithm_names"},
    {"maps.tasks"},
    {f"maps.{name}" for name in MAPS},
    {"maps"},
    {"maps.options"},
    {"toolbox", "settings_record"},
    {"wiring", "resuming", "progress", "csv_logger", "tensorboard_logger", "mlflow_logger"},
    {"algorithms"},
    {"callbacks", "exhibits", "descriptions"},
    {"run_files", "estimators", "model_evolution", "weight_trace"},
    {"html_report"},
    {"rundir"},
    {"live"},
    {"report"},
    {"__init__"},
    {"replay", "worker", "predict"},
    {"launch"},
    {"commandline"},
]
"""From the ground up: a module imports from lower floors alone."""

ROOMS = {
    "tensorflow": {"tensorflow_setup"},
    "keras": {"tensorflow_setup", "toolbox", "keras_problem", "model_evolution", "problems", "estimators"},
    "scoop": {"parallel", "scoop_repairs", "broker_sockets", "launch", "worker"},
    "greenlet": {"parallel"},
    "matplotlib": {"charts", "report"},
    "numba": {"compiled", "fused", "pooled"},
    "pandas": {"frames", "runs", "comparison"},
    "pyarrow": {"frames"},
    "tensorboard": {"tensorboard_logger"},
    "mlflow": {"mlflow_logger"},
    "sklearn": {"estimators"},
    "IPython": set(),
    "dask": {"maps.dask"},
    "distributed": {"maps.dask"},
    "cloudpickle": {"maps.dask", "maps.processes"},
    "ray": {"maps.ray"},
    "mpi4py": {"maps.mpi"},
}


def imports_of(path: Path) -> set[str]:
    """The top-level packages and the modules of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            if node.module == "deap_nn":
                found |= {f"deap_nn.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
    return found


def name_of(path: Path) -> str:
    """The name of a module of ours without the package's own; a folder's is that of its ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[1:] and parts[-1] == "__init__" else parts)


MODULES = {name_of(path): imports_of(path) for path in PACKAGE.rglob("*.py")}


def test_every_module_has_a_floor():
    assert set().union(*FLOORS) == set(MODULES)
    assert sum(map(len, FLOORS)) == len(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    height = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    for imported in MODULES[module]:
        if imported.startswith("deap_nn."):
            other = imported.removeprefix("deap_nn.")
            assert height[other] < height[module], f"{module} imports {other}"


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_heavy_packages_stay_in_their_rooms(package):
    users = {module for module, found in MODULES.items() if any(name.split(".")[0] == package for name in found)}
    assert users <= ROOMS[package]


def test_importing_the_package_is_light():
    code = "import sys, deap_nn; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "deap" in loaded
    heavy = {
        "tensorflow",
        "keras",
        "scoop",
        "matplotlib",
        "numba",
        "mlxtend",
        "pandas",
        "tqdm",
        "distributed",
        "ray",
        "mpi4py",
    }
    assert not heavy & set(loaded)


def test_operators_recipes_and_loop_work_where_tensorflow_is_missing():
    gone = ["tensorflow", "keras", "scoop", "matplotlib", "scipy", "mlxtend", "PIL", "pandas", "tqdm"]

    def answer_of(what):
        code = f"import sys, runpy; sys.modules.update(dict.fromkeys({gone})); {what}"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)

    answer = answer_of("runpy.run_path('tests/without_tensorflow.py', run_name='__main__')")
    assert answer.returncode == 0, answer.stderr
    assert re.fullmatch(r"\d+ operators, 0\.\d+\n", answer.stdout)
    answer = answer_of("import deap_nn; deap_nn.make_toolbox('mlp', 'auto', seed=1)")
    assert "TensorFlow is missing, which scores Keras models: pip install tensorflow" in answer.stderr.splitlines()[-1]


def test_a_python_that_does_not_run_is_not_there(tmp_path):
    names = ("python3.11", "python3.12", "python3.13")
    for name in names:  # as pyenv has one for every Python that any of its environments has
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["make", "--file", ROOT / "Makefile", "test-pythons"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode != 0  # none is tested
    said = [line for line in answer.stdout.splitlines() if not line.startswith("make")]
    assert said == [f"{name} is not there" for name in names]


def test_nothing_names_a_registry_or_a_path_of_this_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in listed:
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_text(errors="ignore")  # of pictures and arrays too
        assert "/wo" + "rk/" not in text, name
        assert "/simple" + "/" not in text, name


def test_importing_tensorflow_draws_no_random_numbers():
    """Keras' rich draws one, so what `random.seed` before the first toolbox gives would depend on what came before."""
    code = "import random; before = random.getstate(); import deap_nn.models; print(random.getstate() == before)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"
