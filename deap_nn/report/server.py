"""A run in a browser while it goes on: ``python -m deap_nn.report DIR --serve PORT``."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import ipaddress
import secrets
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deap_nn.core.errors import InputError
from deap_nn.report.describe import describe_run
from deap_nn.report.html import make_page, to_json_text
from deap_nn.runs.reading import ANSWERS_FILE, FILTERS_FILE, read_json

SECONDS = 2.0
"""The run's files are read no more often, however many look."""

FOLLOWED = (
    "config.json",
    "status.json",
    "logbook.csv",
    "timing.csv",
    "readouts.csv",
    "trace.npz",
    FILTERS_FILE,
    ANSWERS_FILE,
)
"""The files of a run that are followed."""


class Follower:
    """What is to be shown of a run, as its files are now.

    Parameters
    ----------
    folder : Path
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._read_at = -SECONDS
        self._seen: Any = None
        self._content = b""

    def content(self) -> tuple[bytes, str]:
        """Return what there is to show, as JSON, and a tag that changes with it."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= SECONDS:
                seen = [self._look(name) for name in FOLLOWED]
                if seen != self._seen:
                    self._content, self._seen = to_json_text(self._describe()).encode(), seen
                self._read_at = time.monotonic()
            return self._content, f'"{hashlib.blake2b(self._content, digest_size=16).hexdigest()}"'

    def _look(self, name: str) -> tuple[int, int] | None:
        try:
            found = (self.folder / name).lstat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _describe(self) -> dict[str, Any]:
        """Return the run, or why there is none to be shown yet; the family is for the end: it reads all records."""
        try:
            run = describe_run(self.folder, with_family=False)
            if run["status"].get("state") != "running":
                run = describe_run(self.folder)
        except (InputError, OSError) as error:
            return {"waiting": " ".join(str(error).split())}
        return run


@functools.cache
def own_names() -> frozenset[str]:
    """Return the names of this host, in lower case; one of them may take a server of names seconds to tell."""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), socket.getfqdn()))


class Handler(BaseHTTPRequestHandler):
    """Answer for two addresses, the page and what it shows, and for no other."""

    server_version, sys_version = "deap_nn", ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, follower: Follower, page: bytes, token: str, *arguments: Any) -> None:
        self._follower = follower
        self._page = page
        self._token = token
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Send the page at ``/``, and the run at ``/data.json`` if it has changed, to a request with the token."""
        path, _, query = self.path.partition("?")
        if not self._is_asked_by_name():
            self.send_error(HTTPStatus.FORBIDDEN)  # a page of somebody else's may have pointed its own name here
        elif not hmac.compare_digest(query.encode(), f"token={self._token}".encode()):
            self.send_error(HTTPStatus.FORBIDDEN, "the address lacks the token that the command printed")
        elif path == "/":
            self._send(self._page, "text/html; charset=utf-8")
        elif path == "/data.json":
            content, tag = self._follower.content()
            if self.headers.get("If-None-Match") == tag:
                self._send(b"", "application/json", HTTPStatus.NOT_MODIFIED, tag)
            else:
                self._send(content, "application/json", tag=tag)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _is_asked_by_name(self) -> bool:
        """Whether the address that was asked for is this host's own: an address, or a name that leads nowhere else."""
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name.strip("[]"))
            return True
        return name.lower().rstrip(".") in own_names()

    def do_HEAD(self) -> None:
        """Send what `do_GET` does, without its content."""
        self.do_GET()

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, tag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Referrer-Policy", "no-referrer")  # the token stands in the address
        if tag:
            self.send_header("ETag", tag)
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: a page that asks every other second would fill the screen."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a browser went away."""


def make_server(folder: Path, port: int, host: str, token: str) -> ThreadingHTTPServer:
    """Return a server of a run that listens, and answers once its ``serve_forever`` is called.

    Parameters
    ----------
    folder : Path
        Of the run.
    port : int
        Where to listen, 0 for any that is free.
    host : str
        The address to listen at.
    token : str
        Requests without it are refused.

    Raises
    ------
    InputError
        If the folder is not that of a run, or the address cannot be had.
    """
    read_json(folder / "config.json", "fitness")
    page = make_page({"live": True, "seconds": SECONDS}, f"{folder.resolve().name}: a run of deap_nn").encode()
    try:
        return _Server((host, port), functools.partial(Handler, Follower(folder), page, token))
    except OSError as error:
        raise InputError(f"argument --serve: {host} port {port} cannot be had ({error.strerror})") from error


def serve(folder: Path, port: int, *, host: str = "127.0.0.1") -> int:
    """Serve a run that goes on, or has ended, until Ctrl-C; print the address with its token, and return 0.

    Parameters
    ----------
    folder : Path
        Of the run.
    port : int
        Where to listen, 0 for any that is free.
    host : str
        The address to listen at; by default nobody but this host can reach it.
    """
    token = secrets.token_urlsafe(24)
    with make_server(folder, port, host, token) as server:
        name, listening = server.server_address[:2]
        print(f"http://{name!s}:{listening}/?token={token} shows {folder}; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0
