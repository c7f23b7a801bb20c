"""Run on three hosts made here, without a shared disk: ``python tests/faults/hosts.py``.

Each is a set of network, mount, UTS and process namespaces with an ssh server, a host name, a ``/tmp`` and a
``/dev/shm`` of its own. One host joins late, one is cut off, and the bytes must be those of a serial run. It needs
Linux, root, ``ip``, ``unshare``, ``nsenter``, ``ssh`` and ``sshd``; what it makes it removes again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("alpha", "beta", "gamma")
NETWORK = "10.77.0"
SETTING = ("--dataset", "mnist5k", "--population", "30", "--generations", "120", "--seed", "5", "--no-progress")
JOINS_AFTER = 25
"""Seconds until the last host's workers start."""


def call(*command: object) -> str:
    """Run a command that must succeed, and return what it prints."""
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


class Host:
    """A host of the script's own, with an ssh server."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name, self.address = NAMES[number], f"{NETWORK}.{number + 1}"
        self.namespace = f"deapnn{number + 1}"
        self.link = f"dnveth{number + 1}"
        call("ip", "netns", "add", self.namespace)
        call("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        call("ip", "link", "set", self.link, "netns", "deapnn0")
        call("ip", "-n", "deapnn0", "link", "set", self.link, "master", "bridge", "up")
        call("ip", "-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            call("ip", "-n", self.namespace, "link", "set", device, "up")
        config = folder / f"sshd-{self.name}"
        lines = [
            f"ListenAddress {self.address}",
            f"HostKey {folder}/host_key",
            f"AuthorizedKeysFile {folder}/key.pub",
            "PermitRootLogin yes",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "ClientAliveInterval 5",
        ]
        config.write_text("\n".join(lines) + "\n")
        inside = (
            f"hostname {self.name}; mount -t tmpfs tmpfs /tmp; mount -t tmpfs tmpfs /dev/shm; "
            f"mkdir -p /run/sshd; exec {shutil.which('sshd') or '/usr/sbin/sshd'} -D -e -f {config}"
        )
        apart = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside]
        log = open(folder / f"log-{self.name}", "w")  # noqa: SIM115  (the process keeps it open)  (open as long as the host)
        self.process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *apart], stderr=log)

    def command(self, *command: object) -> list[str]:
        """Return what runs a command on this host."""
        (inner,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return ["nsenter", "--target", inner, "--mount", "--uts", "--net", "--pid", *map(str, command)]

    def cut_off(self) -> None:
        """Take its link down."""
        call("ip", "-n", "deapnn0", "link", "set", self.link, "down")

    def traffic(self) -> int:
        """Return the bytes that have gone to it and come from it."""
        counted = call("ip", "-n", self.namespace, "-s", "-j", "link", "show", "eth0")
        found = json.loads(counted)[0]["stats64"]
        return int(found["rx"]["bytes"] + found["tx"]["bytes"])


@contextlib.contextmanager
def three_hosts(folder: Path) -> Iterator[list[Host]]:
    """Make the hosts and the switch between them, and remove them."""
    hosts: list[Host] = []
    try:
        call("ip", "netns", "add", "deapnn0")
        call("ip", "-n", "deapnn0", "link", "add", "bridge", "type", "bridge")
        call("ip", "-n", "deapnn0", "link", "set", "bridge", "up")
        for name in ("key", "host_key"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        hosts.extend(Host(number, folder) for number in range(len(NAMES)))
        yield hosts
    finally:
        for host in hosts:
            host.process.send_signal(signal.SIGKILL)
            host.process.wait()
        for number in range(len(NAMES) + 1):
            subprocess.run(["ip", "netns", "delete", f"deapnn{number}"], check=False, capture_output=True)


def rows(host: Host, output: str) -> int:
    """Return how many generations a run on a host has logged."""
    found = subprocess.run(
        host.command("wc", "-l", f"{output}/logbook.csv"), capture_output=True, text=True, check=False
    )
    return int(found.stdout.split()[0]) - 1 if found.returncode == 0 else -1


def main() -> int:
    """Run the scenario and tell what was seen."""
    if os.geteuid() or not shutil.which("ip") or not (shutil.which("sshd") or Path("/usr/sbin/sshd").exists()):
        sys.exit(
            "hosts.py: error: needs root, and ip, unshare, nsenter, ssh and sshd (Debian: iproute2, openssh-server)"
        )
    seen: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory(prefix="deapnn-hosts-", dir="/var/tmp") as place:
        folder = Path(place)
        serial = folder / "serial"
        call(sys.executable, ROOT / "experiments/mnist.py", *SETTING, "--output", serial)
        with three_hosts(folder) as hosts:
            alpha, beta, gamma = hosts
            time.sleep(1)
            (folder / "hosts").write_text("".join(f"{host.address} 1\n" for host in hosts))
            options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
            alive = "-o ServerAliveInterval=3 -o ServerAliveCountMax=2"
            late = f'case "$*" in *{gamma.address}*) sleep {JOINS_AFTER};; esac'
            (folder / "ssh").write_text(f'#!/bin/sh\n{late}\nexec ssh -T -i {folder}/key {options} {alive} "$@"\n')
            (folder / "ssh").chmod(0o755)
            output = "/tmp/run"
            launch = [sys.executable, "-m", "deap_nn.launch", "--hostfile", folder / "hosts", "--ssh", folder / "ssh"]
            script = [ROOT / "experiments/mnist.py", *SETTING, "--output", output]
            log = open(folder / "log", "w")  # noqa: SIM115  (the process keeps it open)
            run = subprocess.Popen(alpha.command(*launch, *script), cwd=ROOT, stdout=log, stderr=log)
            while rows(alpha, output) < 5 and run.poll() is None:
                time.sleep(0.1)
            if run.poll() is not None:
                sys.exit(f"the run ended with {run.returncode}:\n{(folder / 'log').read_text()}")
            begun, before = rows(alpha, output), [host.traffic() for host in hosts]
            marked = "for cache in /dev/shm/deap_nn-0-*; do touch $cache/marked; done; ls /dev/shm/deap_nn-0-*"
            call(*alpha.command("sh", "-c", marked))
            there = call(*beta.command("sh", "-c", "ls /dev/shm /dev/shm/deap_nn-0-* /tmp; hostname"))
            seen.append(("beta has a cache of its own, and sees none of alpha's files", "marked" not in there))
            seen.append(("beta has another host name and /tmp", "beta" in there and "run" not in there.split()))
            empty = call(*gamma.command("ls", "/dev/shm"))
            seen.append(("gamma has no parents before it joins", empty == ""))
            until = time.monotonic() + 120
            joined = ""
            while not joined and run.poll() is None and time.monotonic() < until:
                time.sleep(0.2)
                joined = call(
                    *gamma.command("sh", "-c", "cat /dev/shm/deap_nn-0-*/segment0 2>/dev/null | wc -c")
                ).strip("0\n")
            ended, after = rows(alpha, output), [host.traffic() for host in hosts]
            seen.append((f"gamma joins, in generation {ended}, and breeds parents of its own", bool(joined)))
            each = [(now - was) / max(1, ended - begun) for now, was in zip(after, before, strict=True)]
            counted = ", ".join(f"{host.name} {bytes_:,.0f}" for host, bytes_ in zip(hosts, each, strict=True))
            print(f"bytes a generation of 30 members, there and back: {counted}")
            time.sleep(2)
            beta.cut_off()
            cut = rows(alpha, output)
            status = run.wait(600)
            log.close()
            said = (folder / "log").read_text()
            seen.append((f"beta is cut off in generation {cut}, the run ends with status {status}", status == 0))
            seen.append(("the launcher says so", f"on {beta.address} " in said))
            for name in ("logbook.csv", "best.npz"):
                found = subprocess.run(alpha.command("cat", f"{output}/{name}"), capture_output=True, check=True).stdout
                seen.append((f"{name} has the bytes of the serial run", found == (serial / name).read_bytes()))
            left = call(*alpha.command("sh", "-c", "ls /dev/shm; ps -e -o args | grep -c '[d]eap_nn.worker' || true"))
            seen.append(("alpha has no process and no cache left", left.split() == ["0"]))
            timing = subprocess.run(
                alpha.command("cat", f"{output}/timing.csv"), capture_output=True, text=True, check=True
            )
            slow = max(float(line.split(",")[1]) for line in timing.stdout.splitlines()[2:])
            print(f"slowest generation after the first: {slow:.1f} s")
            print("the launcher said:", *(f"  {line}" for line in said.splitlines()), sep="\n")
    for what, right in seen:
        print(f"{'yes' if right else 'NO '}  {what}")
    failed = sum(not right for _, right in seen)
    print(f"{len(seen) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
