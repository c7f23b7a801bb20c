"""What SCOOP is given: functions that it can send, and the tasks of workers that are gone."""

import os
from collections import deque
from types import SimpleNamespace

import pytest
import zmq
from conftest import ROOT

from deap_nn.maps.scoop.launcher import BrokerSocket
from deap_nn.process.workers import worker_count

UNNAMED = """
import random
from functools import wraps
from deap import algorithms, base, creator, tools
from deap_nn import WeightList
from deap_nn.maps.scoop import current_map
creator.create("FitnessMin", base.Fitness, weights=(-1.0,))
creator.create("Individual", WeightList, fitness=creator.FitnessMin)
def decorated(function):
    @wraps(function)
    def call(individual):
        return function(individual)
    return call
def score(individual):
    return (float(individual[0].sum()),)
unnamed = lambda individual: (float(individual[0].sum()),)
def main():
    def nested(individual):
        return (float(individual[0].sum()),)
    toolbox = base.Toolbox()
    toolbox.register("evaluate", {function})
    toolbox.register("mate", tools.cxUniform, indpb=0.5)
    toolbox.register("mutate", lambda individual: (individual,))
    toolbox.register("select", tools.selTournament, tournsize=2)
    toolbox.register("map", current_map())
    population = [creator.Individual([[float(i)]]) for i in range(8)]
    algorithms.eaSimple(population, toolbox, 0.5, 0.5, 2, verbose=False)
    print("all scored", flush=True)
if __name__ == "__main__":
    main()
"""
SAID = "a function cannot be sent to SCOOP's workers, define it with def at the top of the module: Can't "


@pytest.mark.parametrize(
    ("launcher", "function"),
    [("deap_nn.launch", "unnamed"), ("scoop", "nested"), ("deap_nn.launch", "decorated(score)")],
)
def test_a_function_without_a_name_is_refused_before_the_first_task(run, tmp_path, launcher, function):
    path = tmp_path / "script.py"
    path.write_text(UNNAMED.replace("{function}", function))
    answer = run("-m", launcher, "-n", 2, path, timeout=60)
    printed = answer.stdout + answer.stderr  # SCOOP's own launcher prints a traceback to stdout
    found = [line.partition("MapError: ")[2] for line in printed.splitlines() if "MapError: " in line]
    assert len(found) == 1, printed
    assert found[0].startswith(SAID)
    assert "all scored" not in printed
    assert "ReferenceBroken" not in printed


def test_a_task_of_a_worker_that_is_gone_goes_to_the_next_or_waits():
    sent = []

    class Target:
        def send_multipart(self, message):
            if message[0].startswith(b"gone"):
                raise zmq.ZMQError(zmq.EHOSTUNREACH)
            if message[0] == b"bad":
                raise zmq.ZMQError(zmq.EFSM)
            sent.append(message)

    broker = SimpleNamespace(
        task_socket=Target(), available_workers=deque([b"gone too", b"there"]), unassigned_tasks=deque()
    )
    socket = BrokerSocket(broker)
    assert broker.task_socket is socket
    socket.send_multipart([b"gone", b"T", b"task 1"])
    assert sent == [[b"there", b"T", b"task 1"]]
    broker.available_workers.extend([b"gone"] * 2000)  # more than Python calls functions within functions
    socket.send_multipart([b"gone", b"T", b"task 2"])
    assert list(broker.unassigned_tasks) == [(b"", b"task 2")]
    socket.send_multipart([b"gone", b"RP", b"an answer"])
    with pytest.raises(zmq.ZMQError):
        socket.send_multipart([b"bad", b"T", b"task 2"])
    assert len(sent) == 1


def test_there_are_as_many_workers_as_processors_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    assert worker_count(lambda function, items: None) == 3


def test_large_tasks_arrive_whole_while_scoop_reports(run):
    answer = run("-m", "scoop", "-n", 3, ROOT / "tests" / "maps" / "scoop_large_tasks.py", 10, timeout=120)
    assert answer.stdout == "all arrived 3\n", answer.stderr
