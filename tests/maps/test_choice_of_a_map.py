"""The choice of a map: arguments and options that are refused, extras that are missing, and the token of a Ray."""

import os
import re
import sys
from types import SimpleNamespace

import pytest
from conftest import MNIST
from strangers import only_line

from deap_nn import open_map
from deap_nn.maps import ray


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "threads"}, "name must be one of scoop, serial, processes, dask, ray, mpi, got 'threads'"),
        ({"name": "scoop"}, "scoop needs python -m scoop, or python -m deap_nn.launch"),
        ({"name": "serial", "workers": 2}, "workers needs the map processes or dask or ray, got serial"),
        ({"workers": 2}, "workers needs the map processes or dask or ray, got serial"),
        ({"name": "processes", "address": "a:1"}, "address needs the map dask or ray, got processes"),
        ({"name": "dask", "workers": 2, "address": "a:1"}, "workers cannot be given with an address"),
        ({"name": "processes", "workers": 0}, "workers must be an integer of at least 1, got 0"),
        ({"name": "processes", "workers": True}, "workers must be an integer of at least 1, got True"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)), open_map(**arguments):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "threads"], "argument --map: must be scoop, serial, processes, dask, ray or mpi, got 'threads'"),
        (["--map", "scoop"], "argument --map: scoop needs python -m scoop"),
        (["--map", "mpi", "--scheduler", "a:1"], "argument --map: address needs the map dask or ray, got mpi"),
    ],
)
def test_wrong_options_are_named_and_no_folder_is_made(light, tmp_path, digits_file, options, message):
    answer = light(MNIST, "--data", digits_file, "--output", tmp_path / "run", *options)
    assert only_line(answer).startswith(f"mnist.py: error: {message}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray"), ("mpi", "mpi4py")])
def test_a_missing_extra_says_how_to_install_it(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"deap_nn.maps.{name}", raising=False)
    message = re.escape(f"is not installed: pip install -c constraints.txt -e '.[{name}]'")
    with pytest.raises(ImportError, match=message), open_map(name):
        pass


def test_another_map_than_scoops_is_refused_under_scoop(run, tmp_path, digits_file):
    options = ["--map", "processes", "--data", digits_file, "--output", tmp_path / "run"]
    answer = run("-m", "deap_nn.launch", "-n", 1, MNIST, *options)
    assert answer.returncode == 2
    refused = (
        "mnist.py: error: argument --map: under python -m scoop the map must be scoop, got processes: leave it out"
    )
    assert answer.stderr.splitlines()[-1] == refused
    assert not (tmp_path / "run").exists()


def ask_for_a_token(monkeypatch, imported=False, **given):
    """What Ray would find in the environment."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that it is put back, whatever it is set to
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    if imported:
        monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    ray._ask_for_a_token()
    return os.environ.get("RAY_AUTH_MODE"), os.environ.get("RAY_AUTH_TOKEN")


def test_a_ray_that_is_started_has_a_token_before_it_is_imported(monkeypatch):
    mode, token = ask_for_a_token(monkeypatch)
    assert (mode, len(token)) == ("token", 64)
    assert ask_for_a_token(monkeypatch)[1] != token
    assert ask_for_a_token(monkeypatch, RAY_AUTH_MODE="token")[1] is not None
    assert ask_for_a_token(monkeypatch, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="own") == ("token", "own")
    assert ask_for_a_token(monkeypatch, RAY_AUTH_TOKEN_PATH="own") == ("token", None)
    assert ask_for_a_token(monkeypatch, RAY_AUTH_MODE="disabled") == ("disabled", None)
    assert ask_for_a_token(monkeypatch, imported=True, RAY_AUTH_MODE="token") == ("token", None)


def test_a_ray_that_was_imported_without_a_token_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="set RAY_AUTH_MODE=token in the environment"):
        ask_for_a_token(monkeypatch, imported=True)
