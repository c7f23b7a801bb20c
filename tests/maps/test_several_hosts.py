"""A run of several hosts, of which the other one is a shell on this one: where it listens, and who learns its keys."""

import re
import shlex
import subprocess
import sys

import psutil
import pytest

from deap_nn.maps.scoop.sockets import ENDPOINT, Endpoint

ADDRESS = "127.0.0.2"
"""An address of this host that `deap_nn.launch` refuses, since no other host reaches it."""

SCRIPT = """
import os, sys, time
from scoop import futures
def square(x):
    time.sleep(0.05)
    return sys.modules["scoop"].worker
if __name__ == "__main__":
    names = set()
    while len(names) < 2:
        names |= set(futures.map(square, range(30)))
    print("both have come", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.05)
    print(len(list(futures.map(square, range(30)))), flush=True)
"""

LAUNCH = """
import sys
from deap_nn.maps.scoop.hosts import Host
from deap_nn.maps.scoop.launcher import Launch
hosts = [Host("127.0.0.1", 1), Host("other.invalid", 1)]
sys.exit(Launch(hosts, {address!r}, {ssh!r}, sys.executable, ["script.py"]).run())
"""

SSH = """#!/bin/sh
echo "$@" > asked
shift
exec sh -c "$*"
"""

WITHOUT_CURVE = """
import runpy, sys, zmq
def none(*_):
    raise zmq.ZMQError(zmq.ENOTSUP)
zmq.has, zmq.curve_keypair, zmq.curve_public = (lambda name: False), none, none
sys.argv[0] = "launch.py"
runpy.run_module("deap_nn.launch", run_name="__main__")
"""

MAPPING = """
from scoop import futures
if __name__ == "__main__":
    print(sum(futures.map(abs, range(9))), flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "launch.py").write_text(LAUNCH.format(address=ADDRESS, ssh=shlex.quote(str(tmp_path / "ssh"))))
    return tmp_path


def test_the_broker_listens_at_its_address_alone_and_no_command_line_has_a_key(folder):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "launch.py"], cwd=folder, **pipes) as process:
        try:
            ports = re.search(rf"{ADDRESS} listens at the ports (\d+) and (\d+),", process.stderr.readline()).groups()
            assert process.stdout.readline() == "both have come\n"
            run = psutil.Process(process.pid).children(recursive=True)
            listening = [c for one in run for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            assert listening == []
            of_the_broker = psutil.Process(process.pid).net_connections("inet")
            listening = {
                (c.laddr.ip.removeprefix("::ffff:"), c.laddr.port)
                for c in of_the_broker
                if c.status == psutil.CONN_LISTEN
            }
            assert listening == {(ADDRESS, int(port)) for port in ports}
            ends = [Endpoint.from_text(one.environ()[ENDPOINT]) for one in run if ENDPOINT in one.environ()]
            endpoint, other = ends  # of the local worker, and of the one that ssh started
            assert other == endpoint
            keys = (endpoint.server, endpoint.public, endpoint.secret)
            assert all(len(key) == 40 for key in keys)
            lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
            lines.append((folder / "asked").read_text())
            assert sum("deap_nn.maps.scoop.worker" in line for line in lines) >= 4
            assert not [line for line in lines for key in keys if key in line]
        finally:
            (folder / "go").touch()
        assert process.stdout.readline() == "30\n"
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


class TestWithoutCurve:
    """A ZeroMQ that cannot encrypt."""

    def test_one_host_works(self, run, tmp_path):
        (tmp_path / "launch.py").write_text(WITHOUT_CURVE)
        (tmp_path / "script.py").write_text(MAPPING)
        answer = run("launch.py", "-n", 2, "script.py")
        assert (answer.returncode, answer.stdout) == (0, "36\n"), answer.stderr

    def test_several_hosts_are_refused_in_a_line(self, light, tmp_path):
        (tmp_path / "launch.py").write_text(WITHOUT_CURVE)
        (tmp_path / "script.py").write_text(MAPPING)
        (tmp_path / "hosts").write_text("127.0.0.1\nother.invalid\n")
        answer = light("launch.py", "--hostfile", "hosts", "script.py")
        said = "argument --hostfile: several hosts need a pyzmq with CURVE, which the installed one lacks\n"
        assert (answer.returncode, answer.stdout, answer.stderr) == (2, "", f"launch.py: error: {said}")
