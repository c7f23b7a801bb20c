"""The loop: the same result for any map, and what is registered is what runs."""

import contextlib
import fcntl
import gc
import itertools
import math
import os
import pty
import random
import re
import signal
import struct
import termios
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from deap import tools
from wirings import Screen, members, plain_toolbox

from deap_nn import (
    Annealed,
    Callback,
    CallbackError,
    Checkpoint,
    CheckpointError,
    ErrorScaled,
    Individual,
    evolve,
    make_toolbox,
    mutGaussianAdaptive,
)
from deap_nn.algorithms import loop
from deap_nn.algorithms.loop import COLUMNS
from deap_nn.breeding.reproduction import vary
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.core.errors import EvaluationError, MapError
from deap_nn.core.logbooks import rows_of
from deap_nn.process import signals


@pytest.fixture
def toolbox(digits):
    return make_toolbox("mlp", digits, seed=1, parents=4)


def run(toolbox, ngen=4, n=8, seed=1, **keywords):
    return evolve(toolbox.population(n=n), toolbox, ngen, seed=seed, **keywords)


def sum_of_squares(individual):
    return (float((individual.flat**2).sum()),)


def test_the_logbook_has_the_contracts_columns(toolbox):
    population, logbook = run(toolbox)
    assert tuple(logbook.header) == COLUMNS
    assert logbook.select("gen") == [0, 1, 2, 3, 4]
    assert logbook.select("nevals") == [8] * 5
    last = logbook[-1]
    values = [individual.fitness.values[0] for individual in population]
    assert (last["min"], last["max"]) == (min(values), max(values))
    assert last["avg"] == pytest.approx(np.mean(values))
    assert last["std"] == pytest.approx(np.std(values))
    assert last["sigma"] == pytest.approx(0.1 * (1 - math.exp(-logbook[-2]["min"])))
    best = min(population, key=lambda individual: individual.fitness.values)
    assert {key: last[key] for key in ("train_error", "val_error")} == toolbox.assess(best, 4)


def test_one_seed_one_result_for_any_map_and_twice_on_one_toolbox(toolbox, digits):
    population, logbook = run(toolbox)
    again, repeated = run(toolbox)
    assert (again, rows_of(repeated)) == (population, rows_of(logbook))
    with ThreadPoolExecutor(3) as pool:
        toolbox.register("map", pool.map)
        threaded, other = run(toolbox)
    assert (threaded, rows_of(other)) == (population, rows_of(logbook))
    toolbox.register("map", map)
    assert run(make_toolbox("mlp", digits, seed=2, parents=4), seed=2)[0] != population
    with pytest.raises(ValueError, match="seed must be the toolbox's, 1, or left out, got 2"):
        run(toolbox, seed=2)


def test_global_random_state_neither_matters_nor_changes(toolbox):
    random.seed(1)
    before = random.getstate()
    first, _ = run(toolbox)
    assert random.getstate() == before
    random.seed(2)
    second, _ = run(toolbox)
    assert first == second


def test_learning_lowers_the_error_on_made_digits(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, parents=10)
    _, logbook = run(toolbox, ngen=25, n=40)
    assert logbook[-1]["val_error"] < 0.5 * logbook[0]["val_error"]


def test_vary_leaves_the_parents_alone_and_invalidates_the_children():
    parents = members(5)
    for parent in parents:
        parent.fitness.values = (1.0,)
    before = [parent.flat.copy() for parent in parents]
    children = vary(parents, plain_toolbox(), seed=1, generation=1)
    assert all(np.array_equal(parent.flat, kept) for parent, kept in zip(parents, before, strict=True))
    assert all(parent.fitness.valid for parent in parents)
    assert len(children) == 5
    assert not any(child.fitness.valid for child in children)
    assert not any(child == parent for child, parent in zip(children, parents, strict=True))


def test_probabilities_0_make_clones_and_partial_ones_are_met():
    parents = members(400)
    assert vary(parents, plain_toolbox(), seed=1, generation=1, cxpb=0, mutpb=0) == parents
    mated = vary(parents, plain_toolbox(), seed=1, generation=1, cxpb=0.3, mutpb=0)
    pairs = sum(child != parent for child, parent in zip(mated[::2], parents[::2], strict=True))
    assert abs(pairs - 60) < 5 * math.sqrt(200 * 0.3 * 0.7)
    mutated = vary(parents, plain_toolbox(), seed=1, generation=1, cxpb=0, mutpb=0.3)
    changed = sum(child != parent for child, parent in zip(mutated, parents, strict=True))
    assert abs(changed - 120) < 5 * math.sqrt(400 * 0.3 * 0.7)
    assert abs(changed - 200) > 5 * math.sqrt(400 * 0.3 * 0.7)


def test_deaps_operators_and_replaced_ones_are_used():
    used = []

    def mate(a, b):
        used.append("mate")
        return tools.cxTwoPoint(a, b)

    def mutate(individual):
        used.append("mutate")
        individual[0] *= 0.5
        return (individual,)

    population = [Individual([np.ones((2, 2)) * i, np.ones(3) * i]) for i in range(1, 7)]
    before = random.getstate(), str(np.random.get_state(legacy=False))  # noqa: NPY002  (the global state must not change)
    evolve(population, plain_toolbox(mate=mate, mutate=mutate), 2, seed=1)
    assert used == (["mate"] * 3 + ["mutate"] * 6) * 2
    assert (random.getstate(), str(np.random.get_state(legacy=False))) == before  # noqa: NPY002  (the global state must not change)


def test_an_adaptation_registered_by_hand_is_updated():
    toolbox = plain_toolbox()
    adaptation = ErrorScaled(0.5)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=adaptation)
    toolbox.register("evaluate", lambda individual: (0.25,))
    _, logbook = evolve(members(), toolbox, 2, seed=1)
    assert logbook.select("sigma") == [0.5, 0.125, 0.125]


def test_a_second_run_on_the_same_toolbox_is_the_same():
    toolbox = plain_toolbox()
    toolbox.register("mutate", mutGaussianAdaptive, sigma=ErrorScaled(0.5))
    runs = [evolve(members(), toolbox, 3, seed=1) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    assert rows_of(runs[0][1]) == rows_of(runs[1][1])


def test_an_interrupted_run_reads_the_last_generation_out(toolbox):
    class Interrupt(Callback):
        def on_generation(self, evolution):
            if evolution.generation == 7:
                raise KeyboardInterrupt

    candidates = Candidates(toolbox)
    with pytest.raises(KeyboardInterrupt):
        run(toolbox, ngen=20, n=20, callbacks=[candidates, Interrupt()])
    assert candidates.generation == 7
    assert candidates.validation_error == toolbox.error_rate(candidates.individual, "validation")


@pytest.mark.parametrize("fate", ["lost in a clean-up", "made another exception by an import"])
def test_an_interrupt_that_came_to_nothing_ends_the_run(toolbox, fate):
    class Interrupted(Callback):
        def on_generation(self, evolution):
            if evolution.generation == 3:
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except KeyboardInterrupt:
                    if fate.startswith("made"):
                        raise AttributeError("partially initialized module") from None

        def on_end(self, evolution):
            self.end = evolution.generation, evolution.interrupted

    watching = Interrupted()
    with signals.interruptible():
        with pytest.raises(KeyboardInterrupt):
            run(toolbox, ngen=20, callbacks=[watching])
        assert watching.end == (3, True)
        assert len(run(toolbox, ngen=2)[1]) == 3  # who has caught it may go on


def test_another_select_still_moves_the_generation_on(toolbox):
    toolbox.register("select", tools.selTournament, tournsize=2)
    _, logbook = run(toolbox, ngen=3)
    assert toolbox.evaluate.func.generation == 3
    assert len(set(logbook.select("sigma"))) == 4


def test_statistics_and_hall_of_fame_see_every_generation():
    statistics = tools.MultiStatistics(size=tools.Statistics(len), fitness=tools.Statistics(lambda i: i.fitness.values))
    statistics.register("largest", max)
    hall = tools.HallOfFame(1)
    _, logbook = evolve(members(), plain_toolbox(), 5, seed=1, stats=statistics, halloffame=hall)
    assert len(logbook.chapters["size"]) == 6
    assert hall[0].fitness.values[0] == min(logbook.select("min"))


def test_callbacks_are_called_in_order_and_can_stop():
    called = []

    class Watch(Callback):
        def on_start(self, evolution):
            called.append("start")

        def on_generation(self, evolution):
            called.append((evolution.generation, evolution.evaluations, evolution.last))
            if evolution.generation == 2:
                evolution.stop = "enough"

        def on_end(self, evolution):
            called.append(evolution.stop)

    population, logbook = evolve(members(), plain_toolbox(), 9, seed=1, callbacks=[Watch()])
    assert called == ["start", (0, 10, False), (1, 20, False), (2, 30, False), "enough"]
    assert len(logbook) == 3
    assert len(population) == 10


def test_progress_is_reported_while_a_generation_is_scored(monkeypatch):
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", -1.0)
    screen, called = Screen(terminal=True), []

    class Watch(Callback):
        def on_progress(self, evolution):
            called.append((evolution.generation, evolution.scored))

    evolve(members(4), plain_toolbox(), 1, seed=1, callbacks=[Watch(), ProgressBar(screen)])
    assert called == [(generation, scored) for generation in (0, 1) for scored in (1, 2, 3, 4)]
    assert re.search(r"gen 1/1 \|[^\r]*, 75% scored", screen.text)


def test_a_callback_that_raises_ends_the_run_after_on_end():
    ended = []

    class Broken(Callback):
        def on_generation(self, evolution):
            raise RuntimeError("broken callback")

        def on_end(self, evolution):
            ended.append(evolution.generation)

    with pytest.raises(RuntimeError, match="broken callback"):
        evolve(members(), plain_toolbox(), 3, seed=1, callbacks=[Broken()])
    assert ended == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1), "population"),
        ((members(), -1), "ngen"),
        ((members(), 2.0), "ngen must be an integer of at least 0, got 2.0"),
        ((members(), 1, {"group_size": -1}), "group_size must be an integer of at least 1, got -1"),
        ((members(), 1, {"group_size": 2.5}), "group_size must be an integer"),
        ((members(), 1, {"cache_size": -1}), "cache_size must be an integer of at least 0"),
        ((members(), 1, {"keyframe_bytes": 1.5}), "keyframe_bytes must be an integer"),
        ((members(), 1, {"cache": "no/folder"}), "cache must be a folder, got no/folder"),
        ((members(), 1, {"cxpb": 1.5}), "cxpb"),
        ((members(), 1, {"mutpb": -0.1}), "mutpb"),
        ((members(), 1, {"seed": -1}), "seed"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    population, ngen, *keywords = arguments
    with pytest.raises(ValueError, match=message):
        evolve(population, plain_toolbox(), ngen, **({"seed": 1} | dict(*keywords)))


def test_a_run_that_is_refused_leaves_no_cache_and_the_population_as_it_was(toolbox, tmp_path):
    (tmp_path / "cache").mkdir()
    population = toolbox.population(n=6)
    former = list(population)

    def refused(error, **words):
        with pytest.raises(error):
            evolve(population, toolbox, 1, cache=tmp_path / "cache", **words)
        assert not list((tmp_path / "cache").iterdir())
        assert all(member is one for member, one in zip(population, former, strict=True))

    refused(TypeError, callbacks=[print])
    with Checkpoint(tmp_path / "used"):
        refused(CheckpointError, checkpoint=tmp_path / "used")
    toolbox.elites = 6
    refused(ValueError)


def test_a_run_does_not_hold_its_founders(toolbox):
    population = toolbox.population(n=6)
    founders, alive = [weakref.ref(member) for member in population], []

    def count(evolution):
        gc.collect()
        alive.append(sum(founder() is not None for founder in founders))

    evolve(population, toolbox, 2, on_generation=count)
    assert alive[-1] == 0


def test_settings_that_a_script_keeps_in_its_own_toolbox_are_its_own():
    def run(**own):
        annealed = Annealed(0.5, 0.05)
        toolbox = plain_toolbox(mutate=partial(mutGaussianAdaptive, sigma=annealed))
        vars(toolbox).update(own)
        return evolve(members(), toolbox, 4, seed=1)[1].select("sigma")

    assert run(generations=50, seed=7, members=3, algorithm="mine", clock=None) == run()
    toolbox = plain_toolbox()
    toolbox.seed = 7
    with pytest.raises(ValueError, match="seed must be given: only a toolbox by make_toolbox has one"):
        evolve(members(), toolbox, 1)


def test_deaps_mutation_with_a_sigma_for_each_matrix_is_logged_as_it_is():
    toolbox = plain_toolbox(mutate=partial(tools.mutGaussian, mu=0, sigma=[0.1], indpb=0.0))
    with pytest.warns(UserWarning, match="mutGaussian treats each matrix as one number"):
        assert evolve(members(), toolbox, 2, seed=1)[1].select("sigma") == [[0.1]] * 3


def test_a_selection_of_another_number_is_refused():
    with pytest.raises(ValueError, match="select must return 10 individuals, got 3"):
        evolve(members(), plain_toolbox(select=lambda individuals, k: individuals[:3]), 2, seed=1)


def test_statistics_with_the_names_of_our_columns_must_be_numbers():
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("min", np.min, axis=0)  # DEAP's own way, a list of one
    _, logbook = evolve(members(), plain_toolbox(), 1, seed=1, stats=statistics)
    assert all(isinstance(value, float) for value in logbook.select("min"))
    for wrong in (np.shape, lambda values: "small"):
        statistics.register("max", wrong)
        with pytest.raises(ValueError, match="stats: column 'max' must be a number, or have another name, got "):
            evolve(members(), plain_toolbox(), 1, seed=1, stats=statistics)


def test_an_error_under_a_map_that_does_all_at_once_is_named():
    def fails(individual):
        raise ZeroDivisionError("of course")

    toolbox = plain_toolbox(evaluate=fails, map=lambda function, items: list(map(function, items)))
    by_weights = pytest.warns(UserWarning, match="the map sends weights instead of recipes")
    with by_weights, pytest.raises(EvaluationError, match="generation 0: ZeroDivisionError: of course"):
        evolve(members(), toolbox, 1, seed=1)
    toolbox.register("map", lambda function, items: (_ for _ in ()).throw(MapError("the cluster is gone")))
    with by_weights, pytest.raises(MapError, match="the cluster is gone"):
        evolve(members(), toolbox, 1, seed=1)


def interrupted_by(body):
    """What is raised, and whether the body came to its end."""
    ended = []

    def held():
        with signals.holding_signals():
            body()
            ended.append(True)
        ended.append(False)

    with pytest.raises(KeyboardInterrupt):
        held()
    return ended


def test_a_signal_that_the_process_ignores_stays_ignored():
    """As SIGINT in a job that a shell's script started in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.interruptible():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("nested", [False, True])
def test_signals_are_held_however_many_threads_there_are(nested):
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()  # the system may give it the signal
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def body():
        with signals.holding_signals() if nested else contextlib.nullcontext():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    try:
        assert interrupted_by(body) == [True]
        assert interrupted_by(partial(signal.raise_signal, signal.SIGINT)) == [True]
    finally:
        done.set()
        other.join()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


def test_every_signal_that_was_held_comes_and_a_handler_that_is_left_does_what_the_first_would():
    came = []
    before = {number: signal.signal(number, lambda *called: came.append(called[0])) for number in (2, 15)}
    try:
        with signals.holding_signals():
            left = signal.getsignal(15)
            for number in (15, 2, 15):
                signal.raise_signal(number)
            assert came == []
        assert sorted(came) == [2, 15]
        left(15, None)
        assert came[2:] == [15]
        signal.signal(2, signal.SIG_IGN)
        with signals.holding_signals():
            signal.getsignal(2)
            signal.raise_signal(2)
            left = signal.getsignal(2)
        assert signal.getsignal(2) is signal.SIG_IGN
        signal.signal(2, left)
        signal.raise_signal(2)
        assert signal.getsignal(2) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    assert stopped_by(errors) == (6, None)
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


def test_progress_is_a_line_per_generation_where_there_is_no_terminal(toolbox):
    screen = Screen(terminal=False)
    run(toolbox, ngen=2, callbacks=[ProgressBar(screen)])
    lines = screen.text.splitlines()
    assert len(lines) == 3
    for word in ("gen 2/2:", "best ", "val 0.", "sigma 0.", "eval/s", "0:00 left"):
        assert word in lines[-1]


def test_progress_of_a_resumed_run_counts_from_there(toolbox, tmp_path, monkeypatch):
    run(toolbox, ngen=20, checkpoint=tmp_path)
    screen, seconds = Screen(terminal=False), itertools.count()
    with monkeypatch.context() as patched:  # a clock that goes on by a second when it is looked at
        patched.setattr("deap_nn.callbacks.progress.time", SimpleNamespace(perf_counter=lambda: next(seconds)))
        run(toolbox, ngen=22, checkpoint=tmp_path, callbacks=[ProgressBar(screen)])
    assert [line.split(":")[0] for line in screen.text.splitlines()] == ["gen 20/22", "gen 21/22", "gen 22/22"]
    assert screen.text.splitlines()[1].startswith("gen 21/22: 0:01 left")
    screen = Screen(terminal=True)
    run(toolbox, ngen=24, checkpoint=tmp_path, callbacks=[ProgressBar(screen)])
    assert "gen 22/24 |#########2|" in screen.text
    assert screen.text.splitlines()[-1].startswith("gen 24/24 |##########|")


def test_progress_is_a_bar_on_a_terminal(toolbox):
    screen = Screen(terminal=True)
    run(toolbox, ngen=2, callbacks=[ProgressBar(screen)])
    assert screen.text.startswith("\rcompiling |")
    assert "gen 2/2 |##########|" in screen.text
    assert "val 0." in screen.text
    assert screen.text.count("\n") == 1


@pytest.mark.parametrize(("columns", "most"), [(80, 900), (80, 2_000), (120, 2_000)])
def test_a_bar_has_twenty_cells_and_whole_figures(columns, most):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    row = {"nevals": 2_000, "val_error": 0.123, "sigma": 0.000123}
    state = SimpleNamespace(generations=most, generation=0, scored=1_999, population=range(2_000), last=False, row=row)
    state.seconds, state.best_value, state.phase = 9.5, 12.3456, "scoring the candidates"
    problem = SimpleNamespace(objectives=[SimpleNamespace(kind="loss")], weights=(-1.0,))
    state.toolbox = SimpleNamespace(evaluate=SimpleNamespace(problem=problem))
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
    whole = r"\d:\d\d left|\d\.\d h left|val 0\.123|best loss 12\.35|100% scored|sigma 0\.000123|211 eval/s"
    for line in lines:
        work, cells, figures = line.split("|")
        assert re.fullmatch(rf"compiling|gen \d+/{most}|scoring the candidates", work.strip())
        assert len(cells) >= 20
        assert len(line) < columns
        assert re.fullmatch(rf" \d\d:\d\d(, ({whole}))*", figures)
    assert any("left, val 0.123" in line for line in lines)
    assert any("left, val 0.123, best loss 12.35" in line for line in lines) == ((columns, most) != (80, 2_000))
    assert any(line.endswith(" 100% scored") for line in lines)
    assert any(line.startswith("scoring the candidates |") for line in lines)
    assert any("eval/s" in line for line in lines) == (columns == 120)


@pytest.mark.parametrize(
    ("fitness", "weight", "name"), [("error", -1, "error"), ("cross_entropy", -1, "loss"), ("metric", 1, "fitness")]
)
def test_progress_names_the_best_fitness_by_its_kind(fitness, weight, name):
    problem = SimpleNamespace(objectives=[SimpleNamespace(kind=fitness)], weights=(weight,))
    toolbox = SimpleNamespace(evaluate=SimpleNamespace(problem=problem))
    state = SimpleNamespace(generations=1, generation=1, seconds=1.0, best_value=0.25, row={"nevals": 9}, last=True)
    state.toolbox, bar = toolbox, ProgressBar(screen := Screen(terminal=False))
    bar.on_start(state)
    bar.on_generation(state)
    assert screen.text == f"gen 1/1: 0:00 left, best {name} 0.25, 9 eval/s\n"


def test_a_long_run_s_hint_is_printed_once_and_a_short_one_s_never():
    for seconds, count in ((1.0, 1), (0.1, 0)):
        for terminal in (True, False):
            screen = Screen(terminal=terminal)
            bar = ProgressBar(screen, hint="watch it")
            state = SimpleNamespace(generations=300, seconds=seconds, best_value=1.0, row={"nevals": 9}, last=False)
            state.toolbox = None
            bar.on_start(state)
            for state.generation in range(4):
                bar.on_generation(state)
            bar.on_end(state)
            assert screen.text.count("watch it\n") == count


def test_work_before_and_after_a_run_is_shown(toolbox):
    screens = [Screen(terminal=True), Screen(terminal=False)]
    for screen in screens:
        with ProgressBar(screen) as bar:
            bar.show("importing")
            run(toolbox, ngen=1, callbacks=[bar])
            bar.show("drawing")
    words = re.findall(r"(?:\r|^)(importing|compiling|gen 1/1|drawing) ", screens[0].text)
    assert list(dict.fromkeys(words)) == ["importing", "compiling", "gen 1/1", "drawing"]
    assert screens[0].text.count("\n") == 1
    assert [line[:9] for line in screens[1].text.splitlines()] == ["importing", "gen 0/1: ", "gen 1/1: ", "drawing"]


@pytest.mark.parametrize("select", [tools.selBest, tools.selNSGA2])
def test_a_selection_that_would_take_everybody_is_refused(toolbox, select):
    toolbox.register("select", select)
    said = f"select: {select.__name__} would take all members: register one that draws"
    with pytest.raises(ValueError, match=said):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1)


@pytest.mark.parametrize(
    ("callbacks", "said"),
    [
        ([EarlyStopping], "callbacks must be a list of Callback objects, got <class .*EarlyStopping"),
        (EarlyStopping(patience=1), "callbacks must be a list of Callback objects, got <class .*EarlyStopping"),
        ([print], "callbacks must be a list of Callback objects, got <built-in function print>"),
    ],
)
def test_what_is_no_callback_is_named(toolbox, callbacks, said):
    with pytest.raises(TypeError, match=said):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1, callbacks=callbacks)


def test_a_statistic_that_cannot_be_kept_is_named(toolbox, tmp_path):
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("odd", lambda values: object())
    evolve(toolbox.population(n=4), toolbox, 1, seed=1, stats=statistics)
    with pytest.raises(ValueError, match="stats: column 'odd' cannot be kept in a checkpoint: Object of type object"):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1, stats=statistics, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"cxpb": "1"}, "cxpb must be a number, got '1'"),
        ({"mutpb": 1.5}, "mutpb must be between 0 and 1, got 1.5"),
        ({"timeout": "1"}, "timeout must be a number, got '1'"),
        ({"keyframe_seconds": "1"}, "keyframe_seconds must be a number, got '1'"),
        ({"stats": "x"}, "stats must have a method compile, got 'x'"),
        ({"halloffame": []}, "halloffame must have a method update, got []"),
    ],
)
def test_an_argument_of_another_kind_is_named(settings, error):
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(error)}$"):
        evolve(members(), plain_toolbox(), 1, seed=1, **settings)


def test_a_target_that_nothing_reaches_is_refused():
    with pytest.raises(ValueError, match=r"^target must be a number that an error can reach, got nan$"):
        EarlyStopping(target=math.nan)


def stops(individual):
    raise StopIteration


class Stops(Callback):
    def on_generation(self, evolution):
        raise StopIteration("enough")


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_stop_iteration_is_named(toolbox, breeding):
    with pytest.raises(CallbackError, match=r"^Stops.on_generation: StopIteration: enough$"):
        run(toolbox, breeding=breeding, callbacks=[Stops()])
    toolbox.register("evaluate", stops)
    with pytest.raises(EvaluationError, match=r"^generation 0, child 0: .*StopIteration"):
        run(toolbox, breeding=breeding)


def test_a_map_that_answers_too_much_is_named(toolbox):
    toolbox.register("map", lambda function, items: [*map(function, items), (1.0,)])
    with pytest.raises(EvaluationError, match="generation 0: the map gave more answers than there are members"):
        run(toolbox, breeding="plain")
