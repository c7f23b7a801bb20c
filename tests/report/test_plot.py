"""The plot of a logbook."""

import numpy as np
import pytest
from deap import tools
from matplotlib import pyplot
from matplotlib.figure import Figure
from own_callbacks import chapters
from wirings import members, plain_toolbox

from deap_nn import evolve, make_toolbox, plot_logbook


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def lines_of(axes):
    return {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}


def test_fitness_and_errors_are_drawn_by_generation(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    _, logbook = evolve(toolbox.population(n=4), toolbox, 3)
    axes = plot_logbook(logbook)
    columns = ["min", "avg", "max", "train_error", "val_error"]
    assert lines_of(axes) == {name: logbook.select(name) for name in columns}
    assert axes.get_lines()[0].get_xdata().tolist() == [0, 1, 2, 3]
    assert axes.get_xlabel() == "generation"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == columns
    assert pyplot.fignum_exists(axes.figure.number)  # a notebook shows it
    given = Figure().add_subplot()
    assert plot_logbook(logbook, given, columns=["sigma"]) is given
    assert lines_of(given) == {"sigma": logbook.select("sigma")}


def test_chapters_and_logbooks_of_deaps_loops_are_drawn():
    _, logbook = evolve(members(), plain_toolbox(), 2, seed=1, stats=chapters())
    axes = plot_logbook(logbook, columns=["fitness.largest"])
    assert lines_of(axes) == {"fitness.largest": logbook.chapters["fitness"].select("largest")}
    own = tools.Logbook()
    own.record(nevals=3, median=np.float32(0.5), note="text")
    own.record(nevals=4, median=np.float32(0.25), note="text")
    axes = plot_logbook(own)
    assert lines_of(axes) == {"median": [0.5, 0.25]}
    assert axes.get_lines()[0].get_xdata().tolist() == [0, 1]


def test_statistics_of_tuples_as_deap_documents_them_are_drawn():
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("avg", np.mean, axis=0)
    statistics.register("most", np.max)
    population = members(4)
    logbook = tools.Logbook()
    for generation in range(3):
        for place, member in enumerate(population):
            member.fitness.values = (float(place + generation),)
        logbook.record(gen=generation, nevals=4, **statistics.compile(population))
    assert lines_of(plot_logbook(logbook, columns=["avg", "most"])) == {"avg": [1.5, 2.5, 3.5], "most": [3.0, 4.0, 5.0]}


def test_gaps_and_columns_of_other_kinds_do_no_harm():
    logbook = tools.Logbook()
    logbook.record(gen=0, val_error=0.5, places=[[1], [2, 3]])
    logbook.record(gen=1, val_error=None, places=[])
    (line,) = plot_logbook(logbook).get_lines()
    assert line.get_label() == "val_error"
    np.testing.assert_array_equal(line.get_ydata(), [0.5, np.nan])


def test_a_logbook_that_cannot_be_drawn_is_refused():
    logbook = tools.Logbook()
    with pytest.raises(ValueError, match=r"^logbook must have a record, it is empty$"):
        plot_logbook(logbook)
    logbook.record(gen=0, min=1.0)
    with pytest.raises(ValueError, match=r"^columns: the logbook has no numbers 'most', it has gen, min$"):
        plot_logbook(logbook, columns=["most"])


def test_the_users_backend_stays(light, tmp_path):
    (tmp_path / "script.py").write_text(
        "import matplotlib as mpl\nmpl.use('svg')\nimport deap_nn.report.figures\nprint(mpl.get_backend())\n"
    )
    assert light("script.py").stdout == "svg\n"
