"""Clusters of Dask: one that this package starts is for its own processes, one by the documentation has TLS."""

import contextlib
import http.client
import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import sys

import psutil
import pytest
from conftest import FINISHED, ROOT, quiet, status_of, wait_for_generations
from distributed import Client, as_completed
from distributed.security import Security
from wirings import evolve_toolbox

from deap_nn import open_map
from deap_nn.maps import dask


@pytest.fixture(scope="module")
def cluster():
    """A map over a cluster of one worker, whose last answers come first, and the cluster."""
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
        patched.setattr("distributed.as_completed", lambda *given, **words: list(as_completed(*given, **words))[::-1])
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


PAGES = ["/", "/status", "/info/main/workers.html", "/json/identity.json", "/metrics", "/health", "/api/v1/get_workers"]


def asks_for_a_certificate(host, port):
    """Whether a port refuses a client with TLS and nothing of its own, as a browser is one."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        context.wrap_socket(plain) as secured,
        pytest.raises(ssl.SSLError, match="certificate required"),
    ):
        secured.recv(1)
    return True


def test_its_ports_refuse_a_client_without_a_certificate(cluster):
    _, started = cluster
    workers = started.scheduler.workers.values()
    for address in (started.scheduler_address, *(one.address for one in workers), *(one.nanny for one in workers)):
        assert address.startswith("tls://127.0.0.1:")
        assert asks_for_a_certificate(*address.removeprefix("tls://").split(":"))


def test_no_page_is_served_and_nothing_listens_elsewhere(cluster):
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        listening = {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}
        for port in {address.port for address in listening} - {8787}:
            for page in PAGES:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                with contextlib.closing(connection), contextlib.suppress(ConnectionError):  # those that want TLS
                    connection.request("GET", page)
                    assert connection.getresponse().status == 404


def test_a_run_is_shared_as_before(cluster, mlp):
    map_, _ = cluster
    logs = []
    for shared in (map, map_):
        toolbox = mlp(batch_size=16)
        toolbox.register("map", shared)
        logs.append(evolve_toolbox(toolbox, n=6, ngen=2)[1])
    assert logs[0] == logs[1]
    assert list(map_(abs, [-3, -2, -1])) == [3, 2, 1]


def test_a_script_without_a_main_guard_is_told_so(run, tmp_path):
    script = tmp_path / "script.py"
    script.write_text('from deap_nn import open_map\nwith open_map("dask", workers=1) as map_:\n    map_(abs, [-1])\n')
    answer = run(script)
    assert answer.returncode == 1
    said = r"deap_nn\..*MapError: dask: no worker has started .*: if workers run the script as they import it, "
    assert re.fullmatch(said + 'put what .* under if __name__ == "__main__":', answer.stderr.splitlines()[-1])


CERTIFICATE, COMMANDS, JOB = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.S)
SIZE = "--population 1000 --generations 300"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the key and the settings of a cluster, and with programs in ``.venv/bin``."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, start in (("python", ""), ("dask", "-m dask "), ("srun", None)):
        line = '"$@"' if start is None else f'"{sys.executable}" {start}"$@"'
        (programs / name).write_text(f"#!/bin/sh\nexec {line}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask.yaml"))
    subprocess.run(["bash", "-e", "-c", CERTIFICATE], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "dask-key.pem").stat().st_mode & 0o777 == 0o600
    return tmp_path


@pytest.fixture
def port():
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_the_commands_for_several_hosts_give_the_bytes_of_a_serial_run(place, port, digits_file, finished_run):
    small = f"{' '.join(map(str, FINISHED))} --data {digits_file} --output run"
    assert SIZE in COMMANDS
    lines = COMMANDS.replace("alpha", "127.0.0.1").replace("8786", str(port)).replace("--nworkers 8", "--nworkers 2")
    scheduler, workers, script = lines.replace(SIZE, small).splitlines()
    started = [
        subprocess.Popen(["bash", "-c", line], cwd=place, stderr=subprocess.DEVNULL, start_new_session=True)
        for line in (scheduler, workers)
    ]
    try:
        quiet(subprocess.run(["bash", "-c", script], cwd=place, capture_output=True, text=True, check=False))
        assert refused(f"tcp://127.0.0.1:{port}")
        assert refused(f"tls://127.0.0.1:{port}", security=Security.temporary())
        assert asks_for_a_certificate("127.0.0.1", port)
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
    for name in ("logbook.csv", "best.npz", "trace.npz"):
        assert (place / "run" / name).read_bytes() == (finished_run / name).read_bytes()
    assert '"workers": 2' in (place / "run" / "config.json").read_text()


@pytest.mark.long
def test_the_job_script_resumes_where_the_job_before_was_ended(place, port):
    assert f"{SIZE} --output run" in JOB
    small = "--model mlp --dataset mnist5k --population 20 --generations 60"
    script = JOB.replace(SIZE, small).replace("8786", str(port)).replace("$(hostname)", "127.0.0.1")
    (place / "job").write_text(script)
    environment = os.environ | {"SLURM_SUBMIT_DIR": str(place), "SLURM_CPUS_PER_TASK": "2"}

    def submit():
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(["bash", place / "job"], env=environment, start_new_session=True, **silent)

    def ended(job):
        """Wait for the end of a job, and end its processes as SLURM does."""
        try:
            job.wait(120)
        finally:
            os.killpg(job.pid, signal.SIGKILL)

    first = submit()
    wait_for_generations(first, place / "run")
    first.send_signal(signal.SIGTERM)
    ended(first)
    status = status_of(place / "run")
    assert (first.returncode, status["state"]) == (130, "interrupted")
    second = submit()
    ended(second)
    assert (second.returncode, status_of(place / "run")["state"]) == (0, "finished")
    assert status["generations"] < 60 == status_of(place / "run")["generations"]
