"""A process that was forked after TensorFlow has computed says so at once, and does not wait for ever."""

SCRIPT = """
import multiprocessing, os, sys, warnings
import joblib
import numpy as np
from concurrent.futures import ProcessPoolExecutor
from deap_nn import KerasProblem, make_toolbox
from deap_nn.models.tensorflow import keras

def problem_of(model):
    x = np.linspace(-3, 3, 80, dtype=np.float32)[:, None]
    return KerasProblem(model, x, np.sin(x), loss="mse")

def model_of():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

def scored(number):
    toolbox = make_toolbox(problem_of(model_of()), seed=number)
    return toolbox.evaluate(toolbox.individual())

def made(number):
    return make_toolbox(problem_of(model), seed=number)

def pool(function, tasks):
    with fork.Pool(1) as pool:
        return pool.map(function, tasks)

def executor(function, tasks):
    with ProcessPoolExecutor(1, mp_context=fork) as pool:
        return list(pool.map(function, tasks))

def answered(function, task):
    try:
        return function(task)
    except RuntimeError as error:
        return error

def by_joblib(function, tasks):
    # Joblib ends its workers at the first error. If two fail at once, one may be ended with a lock of their queue, and
    # then the end of the pool waits for ever. So an error is an answer here.
    calls = (joblib.delayed(answered)(function, task) for task in tasks)
    answers = joblib.Parallel(2, backend="multiprocessing")(calls)
    for answer in answers:
        if isinstance(answer, RuntimeError):
            raise answer
    return answers

def tried(name, way, function, tasks):
    try:
        print(name, len(way(function, tasks)), flush=True)
    except RuntimeError as error:
        print(name, error, flush=True)

if __name__ == "__main__":
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # from Python 3.12 on
    fork = multiprocessing.get_context("fork")
    tried("before", pool, scored, [1, 2])
    model = model_of()
    tried("a model was built", pool, made, [1, 2])
    toolbox = make_toolbox(problem_of(model), seed=1)
    population = toolbox.population(n=2)
    for way in (pool, executor, by_joblib):
        tried(way.__name__, way, toolbox.evaluate, population)
    toolbox.evaluate(population[0])
    tried("it has scored", pool, toolbox.evaluate, population)
"""

REASON = (
    "TensorFlow does not compute in a process that was forked after it has computed: take "
    "deap_nn.open_map('processes'), or multiprocessing.get_context('spawn').Pool(), under a main guard"
)


def test_every_kind_of_fork_says_so_once_anything_was_computed(tmp_path, warm):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    answer = warm(str(path))
    assert answer.stderr == ""
    kinds = ["a model was built", "pool", "executor", "by_joblib", "it has scored"]
    assert answer.stdout.splitlines() == ["before 2", *(f"{kind} {REASON}" for kind in kinds)]
