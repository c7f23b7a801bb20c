"""What a run says while it goes on, and when it stops early."""

import fcntl
import os
import pty
import re
import struct
import termios
import time
from types import SimpleNamespace

import pytest
from deap import base
from own_callbacks import Screen, Watch
from wirings import evolve_toolbox, members, plain_toolbox

from deap_nn import Callback, evolve
from deap_nn.algorithms import loop
from deap_nn.callbacks.base import Evolution
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar


def run(toolbox, ngen, **keywords):
    return evolve_toolbox(toolbox, n=8, ngen=ngen, **keywords)


def test_progress_is_reported_while_a_generation_is_scored(monkeypatch):
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", -1.0)
    screen, called = Screen(terminal=True), []

    class Watch(Callback):
        def on_progress(self, evolution):
            called.append((evolution.generation, evolution.scored))

    evolve(members(4), plain_toolbox(), 1, seed=1, callbacks=[Watch(), ProgressBar(screen)])
    assert called == [(generation, scored) for generation in (0, 1) for scored in (1, 2, 3, 4)]
    assert re.search(r"gen 1/1 \|[^\r]*, 75% scored", screen.text)


def stopped_by(errors, **settings):
    """The generation in which a run whose validation errors are given ends, and why."""
    remaining = iter(errors)
    toolbox = plain_toolbox()
    toolbox.register("assess", lambda *_, **__: {"val_error": next(remaining)})
    seen = []

    class Watch(Callback):
        def on_end(self, evolution):
            seen.append(evolution.stop)

    _, logbook = evolve(members(), toolbox, len(errors) - 1, seed=1, callbacks=[EarlyStopping(**settings), Watch()])
    return logbook[-1]["gen"], seen[0]


def test_early_stopping():
    errors = [0.9, 0.8, 0.7, 0.75, 0.7, 0.71, 0.6]
    assert stopped_by(errors, max_seconds=1e9) == (6, None)
    with pytest.raises(ValueError, match=r"^target, patience or max_seconds must be given$"):
        EarlyStopping()
    generation, reason = stopped_by(errors, target=0.7)
    assert generation == 2
    assert "target" in reason
    generation, reason = stopped_by(errors, patience=3)
    assert generation == 5
    assert "patience" in reason
    assert stopped_by(errors, patience=4)[0] == 6
    generation, reason = stopped_by(errors, max_seconds=0)
    assert generation == 0
    assert "max-seconds" in reason


@pytest.mark.parametrize(
    ("weight", "criterion", "said"),
    [
        (-1.0, {"target": 0.5}, "target: best fitness 0.2500 reached 0.5"),
        (1.0, {"target": -0.2}, "target: best fitness 0.2500 reached 0.2"),
        (-1.0, {"max_seconds": 9}, "max-seconds: 9 s have passed"),
    ],
)
def test_a_run_without_a_validation_error_stops_by_its_best_fitness(weight, criterion, said):
    (best, *_), evolution = members(), Evolution(plain_toolbox(), [], 9, map, seconds=1.0, elapsed=9.0)
    best.fitness = type("OfTwo", (base.Fitness,), {"weights": (weight, weight)})((0.25, 0.75))
    evolution.best = best
    evolution.logbook.record(gen=3)
    EarlyStopping(**criterion).on_generation(evolution)
    assert evolution.stop == said


def test_progress_is_a_line_per_generation_where_there_is_no_terminal(toolbox):
    screen = Screen(terminal=False)
    run(toolbox, ngen=2, callbacks=[ProgressBar(screen)])
    lines = screen.text.splitlines()
    assert len(lines) == 3
    for word in ("gen 2/2:", "best ", " (val error rate 0.", "sigma 0.", "eval/s", "0:00 left"):
        assert word in lines[-1]


def lasting(*seconds):
    """Let each generation have taken so many seconds."""
    return Watch(lambda run: setattr(run, "seconds", seconds[run.generation]))


def test_the_time_left_is_that_of_the_median_generation_and_of_the_end(toolbox, monkeypatch):
    screen, clock = Screen(terminal=False), [1.0]

    def score(run):  # the candidates, after some generations
        if run.generation in (3, 5):
            run.enter("scoring")
            clock[0] += 30

    monkeypatch.setattr("deap_nn.callbacks.progress.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    stop, ends = EarlyStopping(max_seconds=700), Watch(lambda run: setattr(run, "elapsed", 638.0))
    callbacks = [lasting(300, 300, 5, 300, 5, 5), Watch(score), ProgressBar(screen)]
    run(toolbox, 5, callbacks=callbacks)
    run(toolbox, 5, callbacks=[stop, ends, *callbacks])
    left = [re.search(r"^gen \d/5: (\d:\d\d left)?", line) for line in screen.text.splitlines()]
    shown = [None, None, "0:15 left", "1:10 left", "1:05 left", "0:30 left"]
    assert [found[1] for found in left if found] == [*shown, *shown[:3], "1:02 left", "1:02 left", "0:30 left"]


def test_progress_of_a_resumed_run_counts_from_there(toolbox, tmp_path):
    run(toolbox, ngen=2, checkpoint=tmp_path)
    screen = Screen(terminal=False)
    run(toolbox, ngen=4, checkpoint=tmp_path, callbacks=[lasting(0, 0, 9, 300, 9), ProgressBar(screen)])
    assert [line.split(":")[0] for line in screen.text.splitlines()] == ["gen 2/4", "gen 3/4", "gen 4/4"]
    assert screen.text.splitlines()[1].startswith("gen 3/4: 0:09 left")


def test_progress_is_a_bar_on_a_terminal(toolbox):
    screen = Screen(terminal=True)
    run(toolbox, ngen=2, callbacks=[ProgressBar(screen)])
    assert screen.text.startswith("\rcompiling |")
    assert "gen 2/2 |##########|" in screen.text
    assert " (val error rate 0." in screen.text
    assert screen.text.count("\n") == 1


@pytest.mark.parametrize(("columns", "most"), [(80, 900), (80, 2_000), (120, 2_000), (0, 900)])
def test_a_bar_has_the_figures_that_fit_into_the_terminal(columns, most):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 0, columns, 0, 0))
    row = {"nevals": 2_000, "val_error": 0.123, "sigma": 0.000123}
    state = SimpleNamespace(generations=most, generation=0, scored=1_999, population=range(2_000), last=False, row=row)
    state.toolbox, state.seconds, state.best_value, state.phase = None, 9.5, 12.3456, "scoring the candidates"
    state.watching = ()
    with open(theirs, "w") as screen:
        bar = ProgressBar(screen)
        bar.on_start(state)
        for state.generation in (0, 234, most):
            for method in ("on_progress", "on_phase", "on_generation"):
                state.last = state.generation == most
                getattr(bar, method)(state)
        bar.on_end(state)
        text = ""
        while f"gen {most}/{most} |" not in text or text[-1] != "\n":
            text += os.read(ours, 65_536).decode()
    os.close(ours)
    lines = [line.strip() for line in re.split("[\r\n]", text) if line.strip()]
    for line in lines:
        work, cells, figures = line.split("|")
        assert len(cells) == 10
        assert "left" not in figures or "best 12.35 (val error 0.123)"[: 28 if work[0] == "g" else 10] in figures
        assert re.fullmatch(rf"compiling|gen \d+/{most}|scoring the candidates", work.strip())
        assert len(line) < (columns or 80)
        form = r" \d\d:\d\d|[\d.:]+( h)? left|best 12.35( \(val error 0.123\))?|100% scored|sigma 0.000123|211 eval/s"
        assert all(re.fullmatch(form, figure) for figure in figures.split(", "))
    assert any("left, best 12.35 (val error 0.123)" in line for line in lines)
    assert any(line.startswith("scoring the candidates |") for line in lines)
    assert ", best 12.35 (val error 0.123)" in lines[-1]
    assert columns < 120 or any("eval/s" in line for line in lines)


def test_work_before_and_after_a_run_is_shown(toolbox):
    screens = [Screen(terminal=True), Screen(terminal=False)]
    rests = Watch(lambda run: time.sleep(0.2))  # tqdm draws at most each 0.1 s
    for screen in screens:
        with ProgressBar(screen) as bar:
            bar.show("importing")
            run(toolbox, ngen=1, callbacks=[rests, bar])
            bar.show("drawing")
    words = re.findall(r"(?:\r|^)(importing|compiling|gen 1/1|drawing) ", screens[0].text)
    assert list(dict.fromkeys(words)) == ["importing", "compiling", "gen 1/1", "drawing"]
    assert screens[0].text.count("\n") == 1
    assert [line[:9] for line in screens[1].text.splitlines()] == ["importing", "gen 0/1: ", "gen 1/1: ", "drawing"]
