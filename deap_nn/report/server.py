"""A run in a browser while it is in progress: ``python -m deap_nn.report DIR --serve PORT``."""

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
from deap_nn.runs.reading import FILTERS_FILE, PREDICTIONS_FILE, read_json

SECONDS = 2.0
"""The least time between two reads of the run's files, for any number of browsers."""

FOLLOWED = (
    "config.json",
    "status.json",
    "logbook.csv",
    "timing.csv",
    "readouts.csv",
    "trace.npz",
    FILTERS_FILE,
    PREDICTIONS_FILE,
)
"""The files of a run that are followed."""


class Follower:
    """The content of a run's page, by its files as they are now.

    Parameters
    ----------
    folder : Path
        The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._read_at = -SECONDS
        self._seen: Any = None
        self._content = b""

    def content(self) -> tuple[bytes, str]:
        """Return the content of the page, as JSON, and a tag that changes with it."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= SECONDS:
                seen = [self._stamp(name) for name in FOLLOWED]
                if seen != self._seen:
                    self._content, self._seen = to_json_text(self._describe()).encode(), seen
                self._read_at = time.monotonic()
            return self._content, f'"{hashlib.blake2b(self._content, digest_size=16).hexdigest()}"'

    def _stamp(self, name: str) -> tuple[int, int] | None:
        try:
            found = (self.folder / name).lstat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _describe(self) -> dict[str, Any]:
        """Return the run, or the reason that there is none yet; its family, from all records, follows at its end."""
        try:
            run = describe_run(self.folder, with_family=False)
            if run["status"].get("state") != "running":
                run = describe_run(self.folder)
        except (InputError, OSError) as error:
            return {"waiting": " ".join(str(error).split())}
        return run


@functools.cache
def own_names() -> frozenset[str]:
    """Return the names of this host, in lower case; they are cached, as a name server may take seconds."""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), socket.getfqdn()))


class Handler(BaseHTTPRequestHandler):
    """Answer requests for the page and for its data, and no other."""

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
        if not self._names_this_host():
            self.send_error(HTTPStatus.FORBIDDEN)  # another site's page may have pointed its own name here
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

    def _names_this_host(self) -> bool:
        """Whether the request's ``Host`` is an address, or a name of this host, which leads to no other host."""
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name.strip("[]"))
            return True
        return name.lower().rstrip(".") in own_names()

    def do_HEAD(self) -> None:
        """Send the head of `do_GET`'s response, without its content."""
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
        """Print nothing: a page's requests, one every two seconds, would fill the screen."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing if a browser has closed its connection."""


def make_server(folder: Path, port: int, host: str, token: str) -> ThreadingHTTPServer:
    """Return a server of a run; it listens, and answers once its ``serve_forever`` is called.

    Parameters
    ----------
    folder : Path
        The run's folder.
    port : int
        The port to listen at, 0 for any free one.
    host : str
        The address to listen at.
    token : str
        Requests without it are refused.

    Raises
    ------
    InputError
        If the folder is not that of a run, or the server cannot listen at the address.
    """
    read_json(folder / "config.json")
    page = make_page({"live": True, "seconds": SECONDS}, f"{folder.resolve().name}: a run of deap_nn").encode()
    try:
        return _Server((host, port), functools.partial(Handler, Follower(folder), page, token))
    except OSError as error:
        raise InputError(f"argument --serve: cannot listen at {host} port {port} ({error.strerror})") from error


def serve(folder: Path, port: int, *, host: str = "127.0.0.1") -> int:
    """Serve a run, in progress or ended, until Ctrl-C; print the address with its token, and return 0.

    Parameters
    ----------
    folder : Path
        The run's folder.
    port : int
        The port to listen at, 0 for any free one.
    host : str
        The address to listen at; by default only this host can reach it.
    """
    token = secrets.token_urlsafe(24)
    with make_server(folder, port, host, token) as server:
        name, listening = server.server_address[:2]
        print(f"http://{name!s}:{listening}/?token={token} shows {folder}; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0
