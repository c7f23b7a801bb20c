"""Runs in MLflow's own stores on this machine."""

import numpy as np
import pytest
from mlflow import MlflowClient
from own_callbacks import Failing, Stop, chapters
from wirings import evolve_toolbox, members, plain_toolbox

from deap_nn import Callback, CallbackError, evolve
from deap_nn.callbacks.loggers import MLflowLogger

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.* loader strategy is deprecated")  # MLflow's use of SQLAlchemy


@pytest.fixture(params=["file", "sqlite"])
def client(request, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    uri = f"file://{tmp_path}/store" if request.param == "file" else f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient()


def logged(client):
    """The only run there is."""
    [run] = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    return run


def steps(client, run, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]


def test_parameters_metrics_and_artifacts(client, tmp_path):
    logger = MLflowLogger("trial", "first", seed=1, data={"name": "made"})
    population, logbook = evolve(members(), plain_toolbox(), 3, seed=1, stats=chapters(), callbacks=[logger])
    run = logged(client)
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params == {"generations": "3", "seed": "1", "data.name": "made"}
    assert steps(client, run, "min") == list(enumerate(logbook.select("min")))
    assert steps(client, run, "fitness.largest") == list(enumerate(logbook.chapters["fitness"].select("largest")))
    assert "gen" not in run.data.metrics
    (tmp_path / "notes.txt").write_text("of mine")
    logger.client.log_artifact(logger.run_id, tmp_path / "notes.txt")
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {"best.npz", "notes.txt"}
    best = min(population, key=lambda individual: individual.fitness.values)
    with np.load(client.download_artifacts(run.info.run_id, "best.npz", str(tmp_path))) as weights:
        assert np.array_equal(weights["matrix_0"], best[0])


@pytest.mark.parametrize(("error", "status"), [(None, "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_mlflow_gets_the_status_of_a_run_at_its_end(client, error, status):
    logger = MLflowLogger("trial")
    with pytest.raises((CallbackError, KeyboardInterrupt)):
        evolve(members(), plain_toolbox(), 3, seed=1, callbacks=[Failing("on_generation", error=error), logger])
    run = logged(client)
    assert run.info.status == status
    assert [step for step, _ in steps(client, run, "min")] == [0]


@pytest.mark.parametrize("from_the_beginning", [True, False])
def test_a_resumed_run_continues_the_same_run(client, mlp, tmp_path, from_the_beginning):
    def run(*callbacks):
        toolbox = mlp()
        words = {"callbacks": callbacks, "checkpoint": tmp_path / "checkpoint"}
        return evolve_toolbox(toolbox, n=4, ngen=4, **words)[1]

    first = MLflowLogger("trial") if from_the_beginning else Callback()
    with pytest.raises(KeyboardInterrupt):
        run(first, Stop(2))
    logbook = run(MLflowLogger("trial"))
    found = logged(client)
    assert found.info.status == "FINISHED"
    assert steps(client, found, "val_error") == list(enumerate(logbook.select("val_error")))
