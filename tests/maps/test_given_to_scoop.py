"""What SCOOP is given: functions that it can send, hosts that it can reach, and the tasks of workers that are gone."""

import os
import pickle
from collections import deque
from types import SimpleNamespace

import pytest
import zmq

from deap_nn.core.errors import InputError
from deap_nn.maps.scoop.hosts import Host, read_hosts, shared_out
from deap_nn.maps.scoop.messages import CheckedSocket
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
DEFINE = "SCOOP finds functions by name, so define it with def at the top of the module"


@pytest.mark.parametrize(
    ("launcher", "function", "shown"),
    [
        ("deap_nn.launch", "unnamed", f"evaluate is a lambda: {DEFINE}"),
        ("scoop", "nested", f"evaluate is a function inside main: {DEFINE}"),
        ("deap_nn.launch", "decorated(score)", "evaluate cannot be sent to SCOOP's workers: Can't pickle "),
    ],
)
def test_a_function_without_a_name_is_refused_before_the_first_task(run, tmp_path, launcher, function, shown):
    path = tmp_path / "script.py"
    path.write_text(UNNAMED.replace("{function}", function))
    answer = run("-m", launcher, "-n", 2, path, timeout=60)
    printed = answer.stdout + answer.stderr  # SCOOP's own launcher prints a traceback to stdout
    found = [line.partition("MapError: ")[2] for line in printed.splitlines() if "MapError: " in line]
    assert [line[: len(shown)] for line in found] == [shown], printed
    assert "all scored" not in printed
    assert "ReferenceBroken" not in printed


def test_hosts_are_read_and_shared_out(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# ours\nalpha 2\n\nuser@beta 4  # large\n127.0.0.1\n")
    hosts = read_hosts(str(path))
    assert hosts == [Host("alpha", 2), Host("user@beta", 4), Host("127.0.0.1", 1)]
    assert [host.local for host in hosts] == [False, False, True]
    assert shared_out(hosts, 7) == hosts
    assert shared_out(hosts, 3) == [Host("alpha", 2), Host("user@beta", 1)]
    assert sum(host.workers for host in shared_out(hosts, 12)) == 12


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "alpha two\n", "alpha 0\n", "alpha 1 2\n", "-oProxyCommand=x 1\n", "a;b 1\n", "\xff"]
)
def test_bad_hostfiles_are_named(tmp_path, text):
    path = tmp_path / "hosts"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="argument --hostfile: "):
        read_hosts(str(path))


def test_a_task_of_a_worker_that_is_gone_goes_to_the_next_or_waits():
    sent = []
    come = [
        [b"new", b"I", pickle.dumps({})],
        [b"new", b"T", b"id 1", b"task 1"],
        [b"new", b"T", b"id 1", b"task 1"],
        [b"new", b"T", b"id 2", b"task 2"],
    ]

    class Target:
        def recv_multipart(self):
            return come.pop(0)

        def send_multipart(self, message):
            if message[0].startswith(b"gone"):
                raise zmq.ZMQError(zmq.EHOSTUNREACH)
            if message[0] == b"bad":
                raise zmq.ZMQError(zmq.EFSM)
            sent.append(message)

    broker = SimpleNamespace(available_workers=deque([b"gone too", b"there"]), unassigned_tasks=deque())
    socket = CheckedSocket(Target(), broker)
    for _ in range(4):
        socket.recv_multipart()
    assert socket.came == {b"new"}
    socket.send_multipart([b"gone", b"T", b"task 1"])
    assert sent == [[b"there", b"T", b"task 1"]]
    socket.send_multipart([b"gone", b"T", b"task 1"])  # the same task came twice, and waits
    assert broker.unassigned_tasks.pop() == (b"id 1", b"task 1")
    socket.send_multipart([b"gone", b"T", b"task 2"])
    assert list(broker.unassigned_tasks) == [(b"id 2", b"task 2")]
    broker.available_workers.extend([b"gone"] * 2000)  # more than Python calls functions within functions
    socket.send_multipart([b"gone", b"T", b"task 2"])
    assert list(broker.unassigned_tasks) == [(b"id 2", b"task 2")] * 2
    socket.send_multipart([b"gone", b"RP", b"an answer"])
    with pytest.raises(zmq.ZMQError):
        socket.send_multipart([b"bad", b"T", b"task 2"])
    assert len(sent) == 1


def test_there_are_as_many_workers_as_processors_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    assert worker_count(lambda function, items: None) == 3
