"""Statistics and settings whose names have dots, or are those of others, are told apart where runs are read."""

from functools import partial

import numpy as np
from deap import tools
from wirings import members, plain_toolbox

from deap_nn import evolve, read_run, read_runs
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.logbooks import read_csv, rows_of


def test_chapters_may_have_names_of_the_logbooks_own_columns(tmp_path):
    statistics = tools.MultiStatistics(
        fitness=tools.Statistics(lambda i: i.fitness.values[0]), length=tools.Statistics(lambda i: float(len(i) + 7))
    )
    for name, function in (("avg", np.mean), ("min", np.min), ("max", np.max), ("std", np.std)):
        statistics.register(name, function)
    directory = RunDirectory(tmp_path / "run")
    population, logbook = evolve(members(), plain_toolbox(), 3, seed=1, stats=statistics, callbacks=[directory])
    lengths, last = logbook.chapters["length"], statistics.compile(population)
    assert lengths.select("avg") == [len(population[0]) + 7.0] * 4
    assert logbook.chapters["fitness"].select("avg") == logbook.select("avg")
    assert lengths.select("gen") == [0, 1, 2, 3]
    rows = rows_of(logbook)
    assert {name: rows[-1][f"length.{name}"] for name in last["length"]} == last["length"]
    assert {name: rows[-1][f"fitness.{name}"] for name in last["fitness"]} == last["fitness"]
    assert set(read_csv(tmp_path / "run" / "logbook.csv")) == set(rows[-1])
    assert "length" in str(logbook)


def test_statistics_with_a_dot_in_their_names_and_whole_numbers_below_0_are_read_back(tmp_path):
    statistics = tools.Statistics(lambda individual: individual.fitness.values[0])
    statistics.register("q0.9", partial(np.quantile, q=0.9))
    statistics.register("whole", lambda values: -3)
    values = tools.MultiStatistics(fitness=statistics)
    values["fitness"].register("25%", partial(np.quantile, q=0.25))
    with RunDirectory(tmp_path / "chapters") as directory:
        _, logbook = evolve(members(), plain_toolbox(), 2, seed=1, stats=values, callbacks=[directory])
    chapter = read_run(tmp_path / "chapters").logbook.chapters["fitness"]
    assert chapter.select("25%", "q0.9") == logbook.chapters["fitness"].select("25%", "q0.9")
    statistics.functions.pop("25%")
    statistics.fields.remove("25%")
    with RunDirectory(tmp_path / "run") as directory:
        directory.write_config({"seed": 1})
        _, logbook = evolve(members(), plain_toolbox(), 2, seed=1, stats=statistics, callbacks=[directory])
        directory.close("finished")
    run = read_run(tmp_path / "run")
    assert run.logbook.select("q0.9") == logbook.select("q0.9")
    assert [type(value) for value in run.logbook.select("whole")] == [int] * 3
    assert not run.logbook.chapters


def test_settings_with_names_of_columns_are_named_apart(tmp_path):
    for seed in (1, 2):
        more = {} if seed == 1 else {"note": "longer"}
        settings = {"run": f"baseline {seed}", "min": seed}
        with RunDirectory(tmp_path / "study" / f"r{seed}", settings=settings, **more) as directory:
            evolve(members(), plain_toolbox(), 1, seed=seed, callbacks=[directory])
    runs = read_runs(tmp_path / "study")
    results, frame = runs.results(), runs.to_dataframe()
    assert results["run"].tolist() == ["r1", "r2"]
    assert results["config.run"].tolist() == ["baseline 1", "baseline 2"]
    assert results["note"].isna().tolist() == [True, False]
    assert frame["seed"].tolist() == frame["config.min"].tolist() == [1, 1, 2, 2]
    assert frame.columns.is_unique
