"""Files of studies and their figures: what is refused, and where medians and the legend are."""

import dataclasses
import importlib
import sys
from itertools import pairwise

import figures
import numpy as np
import pytest
from small_run import SWEEP
from strangers import only_line
from sweep import read_study, settings_of
from tables import RUNGS, STUDIES

from deap_nn import GA
from deap_nn.models.reference import reference_of


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seeds = [1", "cannot be read"),
        ("[settings.a]", "seeds must be a list of integers"),
        ("seeds = [1, 1]\n[settings.a]", "seeds must differ"),
        ("seeds = [1]", "must be a table of options"),
        ("seeds = [1]\n[[settings]]\nmodel = 'mlp'", "must be a table of options"),
        ("seeds = [1]\nmodel = 'mlp'\n[settings.a]", "model is none of"),
        ("seeds = [1]\n[settings.'../a']", "must be named by letters"),
        ("seeds = [1]\n[settings.a]\noutput = 'x'", "a study cannot set output"),
        ("seeds = [1]\n[settings.a]\nthreads = 2", "threads is for [common] only"),
        ("seeds = [1, -1]\n[settings.a]\nmodel = 'mlp'", "argument --seed"),
        ("seeds = [1]\n[settings.a]\npopulation = 1", "settings.a: argument --population"),
        ("seeds = [1]\n[settings.a]\nheight = 1", "settings.a: unrecognized arguments"),
        ("seeds = [1]\n[settings.a]\nmethod = 'none'", "settings.a: argument --method"),
        ("seeds = [1]\nby = 'day'\n[settings.a]", "by must be evaluations or gen, got day"),
    ],
)
def test_a_study_that_is_wrong_is_refused_in_one_line(here, tmp_path, content, said):
    (tmp_path / "study.toml").write_text(content)
    answer = here(SWEEP, "study.toml")
    assert said in only_line(answer)
    assert answer.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_run_knows_the_path_of_its_script(monkeypatch):
    """An interrupted run prints the command that resumes it."""
    seen = []
    monkeypatch.syspath_prepend(SWEEP.parent)
    mnist, sweep = importlib.import_module("mnist"), importlib.import_module("sweep")
    monkeypatch.setattr(mnist, "main", lambda: seen.extend(sys.argv))
    sweep.run_one(["--seed=1"])
    assert seen == [str(SWEEP.with_name("mnist.py")), "--seed=1"]


@pytest.fixture
def saved(monkeypatch):
    """The figures that would be saved."""
    drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: drawn.append(figure))
    return drawn


def test_a_figure_has_the_medians_at_their_places(saved):
    rows = [
        {"setting": "a", "gen": str(gen), "evaluations": str(7 * gen), "best": str(error + gen), "mean": ""}
        for error in (0.1, 0.2, 0.4)
        for gen in (0, 2)
    ]
    for by, last in (("gen", 2.0), ("evaluations", 14.0)):
        figures.draw_study(rows, "x.png", by=by)
        (line,) = saved[-1].axes[0].get_lines()
        assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.0, last], [0.2, 2.2])
    figures.draw_study([row | {"mean": "0.1" if row["gen"] == "2" else ""} for row in rows], "x.png")
    assert list(saved[-1].axes[0].get_lines()[0].get_ydata()) == [0.2, 0.1]


def test_rungs_stand_from_above_with_their_medians(saved):
    errors = {"first": [0.6], "last": [0.03, 0.02, 0.04]}
    figures.draw_rungs(errors, "x.png")
    (axes,) = saved[-1].axes
    assert [list(line.get_xdata()) for line in axes.get_lines()] == list(errors.values())
    assert [text.get_text() for text in axes.texts] == ["0.600", "0.030"]
    assert axes.yaxis_inverted()


def test_a_figure_is_as_high_as_its_legend(saved):
    for count in (3, 40):
        rows = [
            {"setting": f"s{i}", "gen": "0", "evaluations": "0", "best": str(0.1 + i), "mean": ""} for i in range(count)
        ]
        figures.draw_study(rows, "x.png")
        saved[-1].draw_without_rendering()
        legend, page = saved[-1].legends[0].get_window_extent(), saved[-1].bbox
        assert page.y0 <= legend.y0
        assert legend.y1 <= page.y1
    assert saved[0].get_figheight() == 4.2


def test_every_study_that_is_kept_is_right():
    for path in STUDIES.glob("*.toml"):
        study = read_study(str(path))
        for arguments in study.settings.values():
            settings_of([*arguments, f"--seed={study.seeds[0]}"])


def test_each_rung_of_the_ladder_adds_one_thing_and_the_last_is_the_preset():
    places = list(RUNGS.values())[:10]
    found = [settings_of(read_study(str(STUDIES / f"{study}.toml")).settings[name]) for study, name in places]
    added = [" ".join(sorted(name for name in new if new[name] != old[name])) for old, new in pairwise(found)]
    expected = (
        "init scale, fitness, boost parents pressure, mates, centred, stratified, opposites parents preset spread"
    )
    assert ", ".join(added) == f"{expected}, projected scale sigma, case_step casewise"
    preset = dataclasses.asdict(GA().resolved("mnist_deep", 64))
    assert {name: found[-1][name] for name in preset} == preset


def test_a_study_begins_with_the_same_file_throughout(here, digits_file, tmp_path):
    settings = '[settings]\na = { init = "start.npz", model = "mlp", population = 4, generations = 1 }\n'
    (tmp_path / "study.toml").write_text(f"seeds = [1]\n{settings}")
    layout = reference_of("mlp").layout
    weights = dict(zip(layout.names, (np.zeros(shape, np.float32) for shape in layout.shapes), strict=True))
    np.savez(tmp_path / "start.npz", **weights)
    arguments = SWEEP, tmp_path / "study.toml", "--data", digits_file, "--output", tmp_path / "out"
    assert here(*arguments).returncode == 0
    assert here(*arguments).returncode == 0
    np.savez(tmp_path / "start.npz", **{name: array + 1 for name, array in weights.items()})
    said = f"a-1 is a run of another file, or none, than init_weights {tmp_path / 'start.npz'}"
    assert only_line(here(*arguments)).endswith(said)
