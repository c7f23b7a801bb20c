"""A Dask cluster that this package starts is for the process that started it."""

import contextlib
import http.client
import logging
import re
import socket
import ssl

import psutil
import pytest
from distributed import Client
from distributed.security import Security

from deap_nn import evolve, make_toolbox, open_map
from deap_nn.maps import dask


@pytest.fixture(scope="module")
def cluster():
    """A map over a cluster of one worker, and the cluster."""
    made, make = [], dask._client

    def noting(workers, address):
        client, cluster = make(workers, address)
        made.append(cluster)
        return client, cluster

    with pytest.MonkeyPatch.context() as patched, contextlib.closing(socket.socket()) as taken:
        with contextlib.suppress(OSError):  # another process has it
            taken.bind(("127.0.0.1", 8787))  # the port that Dask's scheduler takes if none is named
            taken.listen()
        patched.setattr(dask, "_client", noting)
        with open_map("dask", workers=1) as map_:
            yield map_, made[0]


def refused(address, **words):
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.closing(Client(address, timeout="3s", set_as_default=False, **words)):
            return False
    except (OSError, TypeError, ValueError, TimeoutError):
        return True
    finally:
        logging.disable(logging.NOTSET)


def test_the_scheduler_refuses_a_client_without_its_certificate(cluster):
    _, started = cluster
    address = started.scheduler_address
    assert address.startswith("tls://127.0.0.1:")
    assert refused(address.replace("tls://", "tcp://"))
    assert refused(address, security=Security.temporary())
    assert not refused(address, security=started.security)


def test_the_workers_refuse_it_too(cluster):
    _, started = cluster
    for worker in started.scheduler.workers:
        assert worker.startswith("tls://127.0.0.1:")
        assert refused(worker.replace("tls://", "tcp://"))
        assert refused(worker, security=Security.temporary())


PAGES = ["/", "/status", "/info/main/workers.html", "/json/identity.json", "/metrics", "/health", "/api/v1/get_workers"]


def test_its_ports_refuse_a_client_without_a_certificate(cluster):
    """By TLS, but with nothing of one's own, as a browser does."""
    _, started = cluster
    workers = started.scheduler.workers.values()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for address in (started.scheduler_address, *(one.address for one in workers), *(one.nanny for one in workers)):
        host, port = address.removeprefix("tls://").split(":")
        with (
            socket.create_connection((host, int(port)), timeout=60) as plain,
            context.wrap_socket(plain) as secured,
            pytest.raises(ssl.SSLError, match="certificate required"),
        ):
            secured.recv(1)


def test_its_ports_serve_no_page(cluster):
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        for port in {c.laddr.port for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN} - {8787}:
            for page in PAGES:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                with contextlib.closing(connection), contextlib.suppress(ConnectionError):  # those that want TLS
                    connection.request("GET", page)
                    assert connection.getresponse().status == 404


def test_no_page_is_served_and_nothing_listens_elsewhere(cluster):
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert set(listening) <= {"127.0.0.1", "::1"}


def test_a_run_is_shared_as_before(cluster, digits):
    map_, _ = cluster
    logs = []
    for shared in (map, map_):
        toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
        toolbox.register("map", shared)
        logs.append(evolve(toolbox.population(n=6), toolbox, 2)[1])
    assert logs[0] == logs[1]


def test_a_script_without_a_main_guard_is_told_so(run, tmp_path):
    script = tmp_path / "script.py"
    script.write_text('from deap_nn import open_map\nwith open_map("dask", workers=1) as map_:\n    map_(abs, [-1])\n')
    answer = run(script)
    assert answer.returncode == 1
    said = r"deap_nn\..*MapError: dask: no worker has started .*: if workers run the script as they import it, "
    assert re.fullmatch(said + 'put what .* under if __name__ == "__main__":', answer.stderr.splitlines()[-1])
