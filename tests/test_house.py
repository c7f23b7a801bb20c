"""The house: imports point down, heavy packages stay in their rooms, and the page about it says what is so."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "deap_nn"

FLOORS = [
    {"core"},
    {"genome", "data", "runs", "process"},
    {"operators", "models"},
    {"breeding", "problems", "report"},
    {"maps", "callbacks"},
    {"algorithms"},
    {"the roof"},
]
"""From the ground up: a folder imports from lower floors alone, and the roof is what lies in none."""

ROOMS = {
    "tensorflow": {"models.tensorflow"},
    "keras": {"models.tensorflow", "algorithms.algorithm", "algorithms.make_toolbox", "estimators", "model_evolution"}
    | {"problems.keras_problem", "problems.wiring"},
    "scoop": {"maps.scoop", "maps.scoop.launcher", "maps.scoop.repairs", "maps.scoop.worker"},
    "greenlet": {"process.signals"},
    "matplotlib": {"report.figures"},
    "numba": {"operators.compiled.common", "operators.compiled.crossing", "operators.compiled.intrinsics"},
    "pandas": {"core.logbooks", "runs.run"},
    "pyarrow": {"core.logbooks"},
    "tensorboard": {"callbacks.loggers"},
    "mlflow": {"callbacks.loggers"},
    "sklearn": {"estimators"},
    "IPython": set(),
    "dask": {"maps.dask"},
    "distributed": {"maps.dask"},
    "ray": {"maps.ray"},
    "mpi4py": {"maps.mpi"},
}
"""The modules that may import each of the heavy packages."""


def imports_of(path: Path) -> set[str]:
    """The packages and the modules of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & NAMES
            found |= submodules or {node.module}
    return found


def name_of(path: Path) -> str:
    """The name of a module of ours; a folder's is that of its ``__init__``."""
    parts = ["deap_nn", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The folder that a module of ours lies in, or the roof."""
    room = module.split(".")[1] if "." in module else ""
    return room if (PACKAGE / room).is_dir() and room else "the roof"


NAMES = {name_of(path) for path in PACKAGE.rglob("*.py")}
MODULES = {name_of(path): imports_of(path) for path in PACKAGE.rglob("*.py")}
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def test_every_folder_has_a_floor():
    assert set(HEIGHT) == {room_of(module) for module in MODULES}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    for imported in MODULES[module] & NAMES:
        here, there = room_of(module), room_of(imported)
        assert here == there or HEIGHT[there] < HEIGHT[here], f"{module} imports {imported}"


def test_no_import_leads_back():
    done = set()

    def follow(module, way):
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for imported in sorted(MODULES[module] & NAMES):
                follow(imported, [*way, module])
            done.add(module)

    for module in sorted(MODULES):
        follow(module, [])


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_heavy_packages_stay_in_their_rooms(package):
    of = {module: {name.partition(".")[0] for name in found} for module, found in MODULES.items()}
    users = {module.removeprefix("deap_nn.") for module, found in of.items() if package in found}
    assert users <= ROOMS[package]


def test_importing_the_package_is_light():
    code = "import sys, deap_nn; [getattr(deap_nn, name) for name in deap_nn.__all__]; "
    code += "print(*sorted({name.split('.')[0] for name in sys.modules}))"
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


def test_make_mnist_goes_through_the_launcher():
    command = ["make", "--dry-run", "--file", ROOT / "Makefile", "mnist"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(r"/python -m deap_nn\.launch experiments/mnist\.py ", answer.stdout)
    assert "-m scoop" not in answer.stdout


def test_nothing_names_a_registry_or_a_path_of_this_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "README.md" in listed
    for name in listed:
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_text(errors="ignore")  # of pictures and arrays too
        assert "/wo" + "rk/" not in text, name
        assert "/simple" + "/" not in text, name


def test_importing_tensorflow_draws_no_random_numbers():
    """Keras' rich draws one, so what `random.seed` before the first toolbox gives would depend on what came before."""
    code = "import random; before = random.getstate(); import deap_nn.models.tensorflow; "
    code += "print(random.getstate() == before)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


PAGE = (ROOT / "docs" / "architecture.md").read_text()


def files_of(section):
    """The files that the numbered steps of a section begin with."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+\.py)`", text, re.M)


def test_the_figure_is_that_of_the_imports(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import house

    assert house.drawing() == house.FIGURE.read_text()
    assert [{name for name, _ in floor} for floor in reversed(house.FLOORS)] == FLOORS
    height = {name: floor for floor, rooms in enumerate(FLOORS) for name in rooms}
    assert all(height[lower] < height[upper] for upper, lower in house.imports())
    drawn = set(house.arrows())
    assert drawn < house.imports()


def test_the_files_of_the_page_are_there():
    for section in ("A child", "A setting", "A mini-batch"):
        assert files_of(section)
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        assert (ROOT / name).is_file() or (ROOT / "deap_nn" / name).is_file(), name
