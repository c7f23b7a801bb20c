"""The house: imports point down, importing the package is light, and the page about it says what is so."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, well

sys.path.append(str(ROOT / "docs"))
import house

FLOORS = [{name for name, _ in floor} for floor in reversed(house.FLOORS)]
"""From the ground up: a folder imports from lower floors alone, and the roof is what lies in none."""


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
    parts = ["deap_nn", *path.relative_to(house.PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in house.PACKAGE.rglob("*.py")}
MODULES = {name_of(path): imports_of(path) for path in house.PACKAGE.rglob("*.py")}
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def test_every_folder_has_a_floor():
    assert set(HEIGHT) == {house.folder_of(module) for module in MODULES}


def test_imports_point_down():
    for module, found in MODULES.items():
        for imported in found & NAMES:
            here, there = house.folder_of(module), house.folder_of(imported)
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


def test_importing_the_package_is_light():
    code = "import sys, deap_nn; [getattr(deap_nn, name) for name in deap_nn.__all__]; "
    code += "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "deap" in loaded
    heavy = "tensorflow keras scoop matplotlib numba mlxtend pandas pyarrow tqdm distributed ray mpi4py mlflow sklearn"
    assert not set(heavy.split()) & set(loaded)


def test_operators_recipes_and_loop_work_where_tensorflow_is_missing():
    gone = ["tensorflow", "keras", "scoop", "matplotlib", "scipy", "mlxtend", "PIL", "pandas", "tqdm"]

    def answer_of(what):
        code = f"import sys, runpy; sys.modules.update(dict.fromkeys({gone})); {what}"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)

    answer = well(answer_of("runpy.run_path('tests/helpers/without_tensorflow.py', run_name='__main__')"))
    assert re.fullmatch(r"\d+ operators, 0\.\d+\n", answer.stdout)
    answer = answer_of("import deap_nn; deap_nn.make_toolbox('mlp', 'auto', seed=1)")
    assert "TensorFlow is missing, which scores Keras models: pip install tensorflow" in answer.stderr.splitlines()[-1]


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


PAGE = (ROOT / "docs" / "architecture.md").read_text()


def files_of(section):
    """The files that the numbered steps of a section begin with."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+\.py)`", text, re.M)


def test_the_figure_is_that_of_the_imports():
    assert house.drawing() == house.FIGURE.read_text()


def test_the_files_of_the_page_are_there():
    for section in ("A child", "A setting", "A mini-batch"):
        assert files_of(section)
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        assert (ROOT / name).is_file() or (ROOT / "deap_nn" / name).is_file(), name
