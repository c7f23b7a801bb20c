"""An evaluation that one of DEAP's decorators wraps: at the top of a script it goes to worker processes by its name."""

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
