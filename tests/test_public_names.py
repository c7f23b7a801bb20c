"""The public names of the package: the stub that type checkers read is the list of what is there."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import deap_nn


def test_each_name_is_found_where_a_type_checker_finds_it():
    stub = ast.parse(Path(deap_nn.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    typed = {alias.asname: node.module for node in imports for alias in node.names}  # ``as`` exports a name from a stub
    for name, module in typed.items():
        assert getattr(deap_nn, name) is getattr(importlib.import_module(module), name)
    assert set(deap_nn.__all__) == typed.keys() - {"keras"} <= set(dir(deap_nn))


def test_all_names_are_imported_by_a_star_and_tensorflow_is_not():
    code = "import sys; from deap_nn import *; print(evolve.__name__, Run.__name__, 'tensorflow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "evolve Run False\n"


def test_another_name_is_not_found():
    with pytest.raises(AttributeError, match="module 'deap_nn' has no attribute 'nothing'"):
        deap_nn.nothing  # noqa: B018  (it raises)
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from deap_nn import nothing  # noqa: F401  (it is not there)
