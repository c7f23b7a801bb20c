"""A process that was forked after TensorFlow has computed says so at once, and does not wait for ever."""

import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from deap_nn import make_toolbox
toolbox = make_toolbox("mlp", "mnist5k", seed=1)
if __name__ == "__main__":
    population = toolbox.population(n=4)
    toolbox.evaluate(population[0])
    try:
        if sys.argv[1] == "pool":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                list(pool.map(toolbox.evaluate, population))
        else:
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
                list(pool.map(toolbox.evaluate, population))
    except RuntimeError as error:
        print(error)
"""


@pytest.mark.parametrize("kind", ["pool", "executor"])
def test_deaps_documented_pool_says_so(tmp_path, kind):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = [sys.executable, str(path), kind]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.startswith("TensorFlow does not compute in a process that was forked after it has computed")
    assert "deap_nn.open_map('processes')" in answer.stdout
    assert "multiprocessing.get_context('spawn').Pool()" in answer.stdout
