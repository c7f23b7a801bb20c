"""Run a script under SCOOP with its exit status: ``python -m deap_nn.launch [-n N] [--hostfile F] SCRIPT ARGS...``."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import shutil
import socket
import sys
from pathlib import Path

from deap_nn.core.environment import processors
from deap_nn.core.errors import InputError
from deap_nn.maps.scoop.hosts import LOCAL, Host, read_hosts, shared_out
from deap_nn.maps.scoop.launcher import SSH, Launch
from deap_nn.maps.scoop.sockets import has_curve
from deap_nn.maps.scoop.worker import own_address
from deap_nn.process.cli import Parser, integer, run_command


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser(
        "Run a script under SCOOP, return its exit status, and end all its processes.",
        "python -m deap_nn.launch -n 4 experiments/mnist.py --model mlp",
        "python -m deap_nn.launch --hostfile hosts experiments/mnist.py",
    )
    add, add_speed = (parser.groups[name].add_argument for name in ("run", "speed"))
    add("script", metavar="SCRIPT", help="Python file to run")
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its arguments")
    workers = "processes in all [one per core, or those of the hostfile]"
    add_speed("-n", type=integer(1), metavar="N", help=workers)
    add_speed("--hostfile", metavar="FILE", help="hosts, one a line: name and number of workers [this host]")
    add_speed("--address", metavar="HOST", help="name of this host for the others [first of the hostfile]")
    add_speed(
        "--ssh", default=SSH, metavar="COMMAND", help="command that starts other hosts' workers [ssh, no prompts]"
    )
    add_speed(
        "--python", default=sys.executable, metavar="PATH", help="Python interpreter on other hosts [path of this one]"
    )
    return parser.parse_args()


def main() -> int:
    """Run the script of the command line under SCOOP, and return its exit status."""
    options = parse_arguments()
    if not Path(options.script).is_file():
        raise InputError(f"argument SCRIPT: {options.script} is no file")
    if importlib.util.find_spec("scoop") is None:
        raise InputError("SCOOP is missing: run pip install scoop, or run the script with plain python")
    hosts = read_hosts(options.hostfile) if options.hostfile else [Host(LOCAL[0], processors())]
    hosts = shared_out(hosts, options.n or sum(host.workers for host in hosts))
    if not hosts[0].local:
        raise InputError(f"argument --hostfile: the first host must be this one, {socket.gethostname()}")
    address = options.address or (LOCAL[0] if all(host.local for host in hosts) else hosts[0].name)
    if not all(host.local for host in hosts) and not has_curve():
        raise InputError("argument --hostfile: several hosts need a pyzmq with CURVE, which the installed one lacks")
    ssh = shlex.split(options.ssh)
    if not all(host.local for host in hosts) and (not ssh or shutil.which(ssh[0]) is None):
        raise InputError(f"argument --ssh: this host has no command {options.ssh!r}")
    try:
        own_address(address, 9)
        socket.gethostbyname(address)
        if not all(host.local for host in hosts) and socket.gethostbyname(address).startswith("127."):
            raise InputError(f"argument --address: must be a name by which other hosts reach this one, got {address}")
    except OSError as error:
        raise InputError(f"argument --address: {address} cannot be resolved: {error}") from error
    return Launch(hosts, address, options.ssh, options.python, [options.script, *options.arguments]).run()


if __name__ == "__main__":
    run_command(main)
