"""The page about the architecture says what is so: its figure, and the files that a child goes through."""

import re
import traceback

from conftest import ROOT
from test_house import FLOORS

from deap_nn import evolve, make_toolbox
from deap_nn.operators.compiled import crossing
from deap_nn.problems import groups, labelled

PAGE = (ROOT / "docs" / "architecture.md").read_text()


def files_of(section):
    """The files that the numbered steps of a section begin with."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+\.py)`", text, re.M)


def test_the_figure_is_that_of_the_imports(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import house

    assert house.drawing() == house.FIGURE.read_text()
    assert [{name for name, _ in floor} for floor in reversed(house.FLOORS)] == FLOORS
    height = {name: floor for floor, rooms in enumerate(FLOORS) for name in rooms}
    assert all(height[lower] < height[upper] for upper, lower in house.imports())
    drawn = set(house.arrows())
    assert drawn < house.imports()


def test_a_child_goes_through_the_files_that_the_page_names(monkeypatch, digits):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)  # each genome alone, as those of large networks
    seen = {}

    def noting(name, function):
        def call(*arguments, **keywords):
            names = [frame.filename for frame in traceback.extract_stack() if "/deap_nn/" in frame.filename]
            files = [name.rpartition("/deap_nn/")[2] for name in names]
            seen.setdefault(name, [*dict.fromkeys(files[files.index("algorithms/loop.py") :])])
            return function(*arguments, **keywords)

        return call

    monkeypatch.setattr(crossing, "scan_and_mutate", noting("bred", crossing.scan_and_mutate))
    monkeypatch.setattr(labelled.Scorer, "fitness", noting("scored", labelled.Scorer.fitness))
    toolbox = make_toolbox("mlp", digits, seed=131)
    evolve(toolbox.population(n=8), toolbox, 1)
    steps = files_of("A child")
    assert len(steps) <= 9
    assert seen["bred"] == steps[: steps.index("breeding/reproduction/pairs.py") + 1]
    assert seen["scored"] == [step for step in steps if step in seen["scored"]]
    assert {*seen["bred"], *seen["scored"], "problems/labelled.py"} == set(steps)


def test_the_files_of_the_page_are_there():
    for section, most in (("A child", 9), ("A setting", 7), ("A mini-batch", 7)):
        steps = files_of(section)
        assert 0 < len(steps) <= most
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        assert (ROOT / name).is_file() or (ROOT / "deap_nn" / name).is_file(), name
