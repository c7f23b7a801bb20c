"""The map "ray": remote functions on a cluster's workers; Ray retries the tasks of a lost worker on another one."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from deap_nn.core.environment import optional, processors
from deap_nn.core.errors import MapError
from deap_nn.maps.tasks import Lending, TaskMap, call_with

CONNECT_SECONDS = 10.0
"""The time limit for a cluster to answer."""


@contextlib.contextmanager
def _keeping_handlers() -> Iterator[None]:
    """Restore the handler of SIGTERM, since Ray installs its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _ask_for_a_token() -> None:
    """Make a Ray cluster that is started here require a token, since a cluster runs any code that it receives.

    Ray reads these environment variables when it is imported, so they are set before.

    Raises
    ------
    ValueError
        If Ray was imported before the variables were set.
    """
    if sys.modules.get("ray") is not None:
        if "RAY_AUTH_MODE" not in os.environ:
            raise ValueError("ray was imported before its map was opened: set RAY_AUTH_MODE=token in the environment")
        return
    token = os.environ.setdefault("RAY_AUTH_MODE", "token") == "token"
    # Without this variable Ray makes a token in a file that other users may be able to read.
    if token and not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _is_joined() -> bool:
    """Return whether this program has joined a Ray cluster."""
    ray: Any = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _join(workers: int | None, address: str | None) -> None:
    """Join the cluster at an address, or start one on this host."""
    import ray

    host, _, port = (address or "").rpartition("//")[2].rpartition(":")
    if port.isdigit():  # without this check Ray waits for over a minute
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except OSError as error:
            raise ValueError(f"address: no Ray cluster answers at {address}: {error}") from error
    options: dict[str, Any] = {"logging_level": "ERROR", "address": address or os.environ.get("RAY_ADDRESS") or "local"}
    if options["address"] == "local":
        options |= {"num_cpus": workers or processors(), "include_dashboard": False}
    try:
        ray.init(**options)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"Ray cannot be joined or started: {error}") from error


@contextlib.contextmanager
def opened(workers: int | None = None, address: str | None = None) -> Iterator[TaskMap]:
    """Yield the map; a Ray cluster that this program has joined already is used, and not shut down."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics unless the user enables them
    with optional("ray"), _keeping_handlers():
        if not (address or os.environ.get("RAY_ADDRESS") or _is_joined()):
            _ask_for_a_token()
        import ray
        from ray import cloudpickle
        from ray.exceptions import RayError, RayTaskError

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        lent = lending()
        answers = [do.remote(payload, tuple(lent), *lent.values()) for payload in payloads]
        done = 0
        try:
            for answer in answers:
                found = ray.get(answer)
                done += 1  # before the yield: a caller may stop here, and a task that is done is not cancelled
                yield found
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            raise MapError(f"ray: {str(error).partition(chr(10))[0]}") from error
        finally:
            for answer in answers[done:]:
                ray.cancel(answer, force=True)

    joined = not ray.is_initialized()
    if joined:
        with _keeping_handlers():
            _join(workers, address)
    try:
        do, lending = ray.remote(call_with), Lending(ray.put)
        yield TaskMap(send, lambda: max(1, int(ray.cluster_resources().get("CPU", 1))), cloudpickle.dumps)
    finally:
        if joined:
            with _keeping_handlers():
                ray.shutdown()
