"""An evaluation that one of DEAP's decorators wraps: at the top of a script it goes to worker processes by its name."""

import pickle

import pytest
from deap import tools

from deap_nn import evolve, make_toolbox

SCRIPT = """
from deap import tools
from deap_nn import evolve, make_toolbox, open_map

toolbox = make_toolbox("mlp", "mnist5k", seed=1, batch_size=16)
fitness = toolbox.evaluate


@tools.DeltaPenalty(lambda individual: True, 100.0)
def evaluate(individual):
    return fitness(individual)


toolbox.register("evaluate", evaluate)
if __name__ == "__main__":
    with open_map("processes", workers=2) as map_:
        toolbox.register("map", map_)
        population, logbook = evolve(toolbox.population(n=6), toolbox, 2)
    print(logbook.select("min"))
"""


def test_a_script_decorates_its_evaluation_at_the_top(run, tmp_path):
    script = tmp_path / "penalised.py"
    script.write_text(SCRIPT)
    answer = run("-W", "error", script)
    assert answer.returncode == 0, answer.stderr
    toolbox = make_toolbox("mlp", "mnist5k", seed=1, batch_size=16)
    _, logbook = evolve(toolbox.population(n=6), toolbox, 2)
    assert answer.stdout == f"{logbook.select('min')}\n"


def free(individual):
    return True


@tools.DeltaPenalty(free, 1.0)
def penalised(individual):
    return (float(individual[0].sum()),)


def test_a_decorated_evaluation_is_pickled_by_its_name(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("evaluate", penalised)
    assert pickle.loads(pickle.dumps(toolbox.evaluate)).func is penalised


def test_an_evaluation_that_no_process_can_import_is_said_to_be_so(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("map", lambda function, items: [function(item) for item in items])
    toolbox.decorate("evaluate", tools.DeltaPenalty(free, 1.0))
    said = "evaluate cannot be pickled: .*; a map of processes needs one from the top of a module$"
    with pytest.warns(UserWarning, match=said):
        evolve(toolbox.population(n=4), toolbox, 1)
