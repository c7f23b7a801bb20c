"""A toolbox for DEAP that trains neural networks with a genetic algorithm instead of backpropagation."""

import ast
import importlib
from pathlib import Path
from typing import Any

from deap_nn.process.workers import running_under_scoop

__version__ = "0.1.0.dev1"

# The stub names the public names once, for type checkers and for the imports on demand here (PEP 562).
_stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_modules = {
    alias.name: str(node.module) for node in _stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
}

__all__ = sorted(_modules.keys() - {"keras"})  # ``from deap_nn import *`` does not import TensorFlow

if running_under_scoop():
    importlib.import_module("deap_nn.maps.scoop.repairs").mend()


def __getattr__(name: str) -> Any:
    if name not in _modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_modules[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
