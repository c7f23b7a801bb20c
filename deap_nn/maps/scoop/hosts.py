"""The hosts of a run under SCOOP, with their numbers of workers."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deap_nn.core.errors import InputError

LOCAL = ("127.0.0.1", "localhost", "::1")


class Host(NamedTuple):
    """A host and its number of workers."""

    name: str
    workers: int

    @property
    def local(self) -> bool:
        """Whether it is this host: its address can be bound here."""
        if self.name in (*LOCAL, socket.gethostname(), socket.getfqdn()):
            return True
        try:
            address = socket.gethostbyname(self.name)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError:
            return False
        return True


def read_hosts(path: str) -> list[Host]:
    """Return the hosts of a file; each line has a name and optionally the number of workers, 1 by default."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"argument --hostfile: {path} cannot be read: {error}") from error
    hosts = []
    for number, line in enumerate(lines, start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) > 2 or not re.fullmatch(r"[\w.:@-]+", fields[0]) or fields[0].startswith("-"):
            raise InputError(f"argument --hostfile: {path}: line {number}: write a host and its number of workers")
        workers = fields[1] if len(fields) == 2 else "1"
        if not re.fullmatch(r"[1-9][0-9]{0,4}", workers):
            raise InputError(f"argument --hostfile: {path}: line {number}: {workers!r} is no number of workers")
        hosts.append(Host(fields[0], int(workers)))
    if not hosts:
        raise InputError(f"argument --hostfile: {path} names no host")
    return hosts


def shared_out(hosts: Sequence[Host], workers: int) -> list[Host]:
    """Return the hosts with `workers` in total: filled in order up to their numbers, then the rest in turn."""
    left, counts = workers, [0] * len(hosts)
    for i, host in enumerate(hosts):
        counts[i] = min(host.workers, left)
        left -= counts[i]
    for i in range(left):
        counts[i % len(hosts)] += 1
    return [host._replace(workers=count) for host, count in zip(hosts, counts, strict=True) if count]
