"""Statistics and settings whose names have dots, or are those of others, are told apart where runs are read."""

from functools import partial

import numpy as np
import pytest
from deap import tools
from wirings import members, plain_toolbox

from deap_nn import evolve, read_run, read_runs
from deap_nn.callbacks.run_directory import RunDirectory


@pytest.mark.parametrize("names", [("fitness", "fitness.p50"), ("fitness.p50", "fitness")])
def test_a_statistic_may_have_the_name_of_another_and_a_dot(tmp_path, names):
    statistics = tools.Statistics(lambda member: member.fitness.values)
    for name in names:
        statistics.register(name, np.max)
    with RunDirectory(tmp_path / "run") as directory:
        _, logbook = evolve(members(), plain_toolbox(), 2, seed=1, stats=statistics, callbacks=[directory])
    run = read_run(tmp_path / "run")
    assert list(run.logbook) == list(logbook)
    assert set(names) <= set(run.to_dataframe().columns)


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


def test_names_of_a_runs_own_do_not_get_into_one_anothers_way(tmp_path):
    statistics = tools.Statistics(len)
    statistics.register("seed", lambda values: 5.0)
    for seed in (1, 2):
        more = {} if seed == 1 else {"note": "longer"}
        settings = {"run": f"baseline {seed}", "adaptation": f"rule {seed}"}
        with RunDirectory(tmp_path / "study" / f"r{seed}", settings=settings, seed=seed + 10, **more) as directory:
            evolve(members(), plain_toolbox(), 1, seed=seed, stats=statistics, callbacks=[directory])
    runs = read_runs(tmp_path / "study")
    results, frame = runs.results(), runs.to_dataframe()
    assert results["run"].tolist() == ["r1", "r2"]
    assert results["seed"].tolist() == [1, 2]
    assert results["status.seed"].tolist() == [11, 12]
    assert results["config.run"].tolist() == ["baseline 1", "baseline 2"]
    assert results["adaptation"].tolist() == ["rule 1", "rule 2"]
    assert results["note"].isna().tolist() == [True, False]
    assert frame["seed"].tolist() == [1, 1, 2, 2]
    assert frame["logbook.seed"].tolist() == [5.0] * 4
    assert frame.columns.is_unique
    assert results.columns.is_unique
