"""Custom objects: the users' classes and functions by which a model, a loss or a metric is rebuilt."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import sys
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

_COMPARED = {"name", "reduction", "dtype"}
"""Arguments of every loss or metric. Keras keeps them as texts, which `_plain` compares; losses' configurations lack
the last."""


def is_own(part: Any) -> bool:
    """Return whether a class or function is custom: neither Keras' nor TensorFlow's."""
    return str(part.__module__).partition(".")[0] not in ("keras", "tensorflow")


def functions_of(holder: Any) -> dict[str, FunctionType]:
    """Return the custom functions that a layer, a loss or a metric holds, by attribute.

    Methods that Keras wraps are attributes too, but not custom functions.
    """
    return {
        name: value
        for name, value in vars(holder).items()
        if isinstance(value, FunctionType) and is_own(value) and not hasattr(type(holder), name)
    }


def are_of_keras(holders: Iterable[Any]) -> bool:
    """Return whether no class of some layers is custom, and they hold no custom function."""
    return not any(is_own(type(one)) or type(one).__name__ == "Lambda" or functions_of(one) for one in holders)


def custom_objects_of(holders: Iterable[Any]) -> tuple[Any, ...]:
    """Return the custom classes of some layers, losses or metrics, and the custom functions they hold, each once.

    Only functions at the top of their module are returned: another process can import them.
    """
    holders = list(holders)
    found: set[Any] = {type(holder) for holder in holders if is_own(type(holder))}
    found |= {function for holder in holders for function in functions_of(holder).values() if _is_at_top(function)}
    return tuple(sorted(found, key=lambda part: (part.__module__, part.__qualname__)))


def by_name(parts: Iterable[Any]) -> dict[str, Any]:
    """Return classes and functions by name, as Keras' argument ``custom_objects``."""
    return {part.__name__: part for part in parts}


def holds_alike(one: Any, other: Any) -> bool:
    """Return whether the custom functions of two layers, losses or metrics have the same code."""
    codes = [{name: function.__code__ for name, function in functions_of(o).items()} for o in (one, other)]
    return codes[0] == codes[1]


def missing_arguments(thing: Any, again: Any, config: Mapping[str, Any]) -> list[str]:
    """Return the names that the configuration of a loss or metric leaves out, sorted.

    These are the numbers, texts, arrays and functions that the rebuilt object does not share. Of a custom class they
    are also all arguments that the configuration lacks, with any value.

    Parameters
    ----------
    thing, again
        The original, and the object that was rebuilt from its configuration.
    config : mapping
        The return value of the original's ``get_config``.
    """
    held, rebuilt = _plain(thing), _plain(again)
    out = {name for name, value in held.items() if not _same(value, rebuilt.get(name))}
    if is_own(type(thing)) and not is_own(type(thing).from_config):
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = inspect.signature(type(thing)).parameters.values()
        out |= {parameter.name for parameter in parameters if parameter.kind in named} - set(config) - _COMPARED
    if not holds_alike(thing, again):
        out |= functions_of(thing).keys() | functions_of(again).keys()
    return sorted(name.lstrip("_") for name in out)


@contextlib.contextmanager
def silent_on_lambdas() -> Iterator[None]:
    """Silence Keras' warning of a lambda in a configuration: this package loads no lambda from one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`", UserWarning)
        yield


def left_out(thing: Any) -> dict[str, Any]:
    """Return the arguments of Keras' own loss or metric that it keeps for the function that it wraps."""
    takes = inspect.signature(type(thing)).parameters
    return {name: value for name, value in (getattr(thing, "_fn_kwargs", None) or {}).items() if name in takes}


def _plain(thing: Any) -> dict[str, Any]:
    """Return the numbers, texts and arrays that a loss or metric holds, also for the function that it wraps."""
    simple = int | float | str | bytes
    return {
        name: value
        for name, value in {**vars(thing), **(getattr(thing, "_fn_kwargs", None) or {})}.items()
        if isinstance(value, simple)
        or (isinstance(value, list | tuple) and all(isinstance(item, simple) for item in value))
        or (hasattr(value, "__array__") and not hasattr(value, "assign"))  # a variable is a metric's state
    }


def _same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" == other.dtype.kind)


def _is_at_top(function: FunctionType) -> bool:
    return getattr(sys.modules.get(function.__module__), function.__qualname__, None) is function


_keys: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def key_of(function: Callable[..., Any]) -> str:
    """Return a new key of user code; the same one for a function without a state, whose networks are then shared."""
    seen: dict[FunctionType, str] = {}
    if inspect.isfunction(function) and _is_stateless(function, seen):
        return hashlib.sha256("".join(seen.values()).encode()).hexdigest()
    return uuid.uuid4().hex


def _is_stateless(function: FunctionType, seen: dict[FunctionType, str]) -> bool:
    """Return whether a function has no closure and no defaults, and its module's variables that it names are all code.

    The values of other variables may change, and travel with a function of a script or a notebook to the workers.
    `seen` gets a key of each function that it names.
    """
    seen[function] = _keys.setdefault(function, uuid.uuid4().hex)
    if function.__closure__ is not None or function.__defaults__ or function.__kwdefaults__ or vars(function):
        return False
    named = (function.__globals__.get(name) for name in sorted(_names_in(function.__code__)))
    for value in named:
        if inspect.isfunction(value) and value.__module__ == function.__module__:
            if value not in seen and not _is_stateless(value, seen):
                return False
        elif value is not None and not inspect.ismodule(value) and not _is_code_of_another_module(value, function):
            return False
    return True


def _is_code_of_another_module(value: Any, function: FunctionType) -> bool:
    """Return whether a value is a function or class of a module that workers import, bound to no object."""
    bound = getattr(value, "__self__", None)  # of a built-in function it is its module
    if not (inspect.isroutine(value) or inspect.isclass(value)) or not (bound is None or inspect.ismodule(bound)):
        return False
    return getattr(value, "__module__", None) != function.__module__


def _names_in(code: CodeType) -> set[str]:
    """Return the names of variables and attributes in code, and in the functions within it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))
