"""Who gets through to a broker of several hosts, and what a broker or a worker drops of what comes."""

import contextlib
import pickle
import threading
import time
from types import SimpleNamespace

import pytest
import zmq
from brokers import messages_get_through

from deap_nn.maps.scoop import repairs
from deap_nn.maps.scoop.messages import reason_to_drop
from deap_nn.maps.scoop.sockets import Endpoint, public_broker, worker_name

TASK = b"\x80\x04\x8c\x0cscoop._types\x94\x8c\x06Future\x94\x93\x94)\x81\x94."
"""A pickle, well formed, of a task."""


@pytest.fixture(scope="module")
def broker():
    """Where a broker listens by TCP, here for one host only."""
    broker, endpoint = public_broker("127.0.0.1")

    def run():
        while True:
            try:
                return broker.run()
            except zmq.ZMQError as error:  # a test has gone before its last answer: the launcher's broker goes on too
                if error.errno != zmq.EHOSTUNREACH:
                    raise

    threading.Thread(target=run, daemon=True).start()
    yield endpoint
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    endpoint.secure(socket)
    socket.connect(endpoint.task)
    socket.send(b"S")
    context.destroy(linger=1000)


class TestSeveralHosts:
    """Who gets through to a broker that listens by TCP."""

    def test_the_key_of_the_run_is_let_in_and_no_other(self, broker):
        server = broker.server
        public, secret = (key.decode() for key in zmq.curve_keypair())
        assert messages_get_through(broker.task, broker, seconds=10)
        assert not messages_get_through(broker.task)
        assert not messages_get_through(broker.task, Endpoint(broker.task, broker.info, server, public, secret))
        other = zmq.curve_keypair()[0].decode()
        wrong = Endpoint(broker.task, broker.info, other, broker.public, broker.secret)
        assert not messages_get_through(broker.task, wrong)
        assert messages_get_through(broker.task, broker, seconds=10)

    def test_news_of_the_run_are_for_those_with_the_key(self, broker):
        public, secret = (key.decode() for key in zmq.curve_keypair())
        context = zmq.Context()

        def socket_of(kind, endpoint, address):
            socket = context.socket(kind)
            socket.linger = 0
            if endpoint is not None:
                endpoint.secure(socket)
            if kind == zmq.SUB:
                socket.subscribe(b"")
            socket.connect(address)
            return socket

        endpoints = [broker, None, Endpoint(broker.task, broker.info, broker.server, public, secret)]
        news, *others = (socket_of(zmq.SUB, endpoint, broker.info) for endpoint in endpoints)
        sender = socket_of(zmq.DEALER, broker, broker.task)
        try:
            heard, until = 0, time.monotonic() + 60
            while heard < 10:
                assert time.monotonic() < until
                sender.send_multipart([b"V", b"key", b"value", b"name"])
                heard += bool(news.poll(100) and news.recv_multipart())
            assert not any(other.poll(100) for other in others)
        finally:
            context.destroy(linger=0)


def test_names_of_workers_differ():
    assert len({worker_name() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ([b"new", b"I", pickle.dumps({})], None),
        ([b"w", b"RQ"], None),
        ([b"w", b"T", b"id", b"task"], None),
        ([b"w", b"RP", b"answer", b"host:1:ab"], None),
        ([b"w", b"V", pickle.dumps("key"), pickle.dumps([1]), pickle.dumps(b"w", 5)], None),
        ([b"host:1:ab", b"S"], None),
        ([b"w", b"S"], "only the script's own process ends a run"),
        ([b"w"], "it is no message of a worker"),
        ([b"new", b"RQ"], "its sender is no worker of this run"),
        ([b"w", b"T", b"id"], "it has 3 frames"),
        ([b"w", b"T", b"x" * 1025, b"task"], "it names no task"),
        ([b"w", b"RP", b"answer", b"new"], "it is for no worker of this run"),
        ([b"w", b"V", pickle.dumps(1), pickle.dumps(1), pickle.dumps(b"w")], "it holds no constant"),
        ([b"w", b"I", pickle.dumps([])], "it has other settings than a worker's"),
    ],
)
def test_what_a_broker_cannot_take_has_a_reason(message, said):
    assert reason_to_drop(message, {b"w", b"host:1:ab"}, b"host:1:") == said


@pytest.mark.parametrize(
    ("message", "dropped", "requests"),
    [
        ([b"T", b"garbage"], True, 1),
        ([b"RP", b"garbage", b"name"], True, 0),
        ([b"T", TASK], False, 0),  # the script's fault, which it hears of
        ([b"SA", b"garbage", b"N"], False, 0),
        ([], False, 0),
    ],
)
def test_a_worker_that_drops_a_task_asks_for_another(capsys, message, dropped, requests):
    asked = []

    def receive():
        raise AttributeError("no such class")

    socket = SimpleNamespace(received=message)
    communicator = SimpleNamespace(
        socket=socket, _recv=receive, pumpInfoSocket=None, sendRequest=lambda: asked.append(1)
    )
    repairs._forgive(communicator)
    with contextlib.nullcontext() if dropped else pytest.raises(AttributeError, match="no such class"):
        assert communicator._recv() is None
    assert len(asked) == requests
    assert len(capsys.readouterr().err.splitlines()) == dropped
    assert not communicator.receiving


def test_an_endpoint_is_one_line():
    endpoint = Endpoint("tcp://a:1", "tcp://a:2", "s", "p", "q")
    assert Endpoint.from_text(endpoint.to_text()) == endpoint
    assert "\n" not in endpoint.to_text()
