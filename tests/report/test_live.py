"""A run in a browser while it goes on: what is answered, and what is refused."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
from report_pages import Page, bare

from deap_nn.core.errors import InputError
from deap_nn.report import server as live
from deap_nn.report.server import make_server

TOKEN = "a-token"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A run of three rows, its server, and a function that asks it."""
    monkeypatch.setattr(live, "SECONDS", 0.0)
    folder = bare(tmp_path / "run")
    with make_server(folder, 0, "127.0.0.1", TOKEN) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def ask(path, method="GET", token=TOKEN, **headers):
            connection = http.client.HTTPConnection(*server.server_address, timeout=10)
            connection.request(method, path if token is None else f"{path}?token={token}", headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer, content

        ask.address = server.server_address
        yield folder, ask
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "status"), [("127.0.0.1:80", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example:80", 403)]
)
def test_a_foreign_name_that_points_here_is_not_answered(served, name, status):
    _, ask = served
    assert ask("/data.json", Host=name)[0].status == status


def test_a_name_of_this_host_is_answered_however_it_is_written(served, monkeypatch):
    _, ask = served
    asked = []
    monkeypatch.setattr(live.socket, "gethostname", lambda: "DESKTOP-ABC")
    monkeypatch.setattr(live.socket, "getfqdn", lambda: asked.append(1) or "Desktop-ABC.Local")
    live.own_names.cache_clear()
    names = ["desktop-abc:80", "DESKTOP-ABC", "desktop-abc.local", "desktop-abc.local.:80", "other.local"]
    assert [ask("/data.json", Host=name)[0].status for name in names] == [200] * 4 + [403]
    assert asked == [1]
    live.own_names.cache_clear()


def test_the_page_and_its_data_are_served(served):
    folder, ask = served
    answer, content = ask("/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert Page(content.decode()).data == {"live": True, "seconds": 0.0}
    answer, content = ask("/data.json")
    assert answer.status == 200
    assert json.loads(content)["logbook"]["gen"] == [0, 1, 2]
    assert json.loads(content)["name"] == folder.name
    answer, content = ask("/data.json", "HEAD")
    assert (answer.status, content) == (200, b"")


def test_a_run_without_the_name_of_its_fitness_is_shown(served):
    folder, ask = served
    (folder / "config.json").write_text(json.dumps({"versions": {}}))
    with make_server(folder, 0, "127.0.0.1", TOKEN):
        pass
    assert json.loads(ask("/data.json")[1])["logbook"]["gen"] == [0, 1, 2]


def test_what_has_not_changed_is_not_sent_again_and_what_has_is(served):
    folder, ask = served
    tag = ask("/data.json")[0].headers["ETag"]
    answer, content = ask("/data.json", **{"If-None-Match": tag})
    assert (answer.status, content) == (304, b"")
    with open(folder / "logbook.csv", "a") as file:
        file.write("3,4,0.25,0.5\n")
    answer, content = ask("/data.json", **{"If-None-Match": tag})
    assert answer.status == 200
    assert json.loads(content)["logbook"]["gen"] == [0, 1, 2, 3]


def test_files_are_read_at_most_once_in_an_interval(served, monkeypatch):
    folder, ask = served
    before = ask("/data.json")[1]
    monkeypatch.setattr(live, "SECONDS", 1000.0)
    (folder / "logbook.csv").write_text("gen,min,avg\n0,1,1\n")
    assert ask("/data.json")[1] == before


@pytest.mark.parametrize(
    "path",
    [
        "/config.json",
        "/logbook.csv",
        "/../run/config.json",
        "/%2e%2e/secret",
        "//etc/passwd",
        "/data.json/../../secret",
        "http://127.0.0.1/etc/passwd",
        "/report.html",
    ],
)
def test_no_other_path_is_served(served, path):
    folder, ask = served
    (folder.parent / "secret").write_text("secret")
    answer, content = ask(path)
    assert answer.status == 404
    assert b"secret\n" not in content


@pytest.mark.parametrize("token", [None, "", "a-toke", "a-token-", "A-TOKEN", "\u00e4", "a-token&x=1"])
@pytest.mark.parametrize("path", ["/", "/data.json", "/config.json"])
def test_without_the_token_nothing_is_served(served, path, token):
    _, ask = served
    if token == "\u00e4":
        token = "%C3%A4"
    answer, content = ask(path, token=token)
    assert answer.status == 403
    assert b"logbook" not in content


@pytest.mark.parametrize(
    "asked",
    [
        b"GET /data.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: token a-token\r\nCookie: token=a-token\r\n",
        b"GET /data.json?token=" + b"a" * 7000 + b" HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /data.json?token=a-toke\xff HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /data.json?x=1&token=a-token HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /data.json??token=a-token HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /data.json%3Ftoken=a-token HTTP/1.1\r\nHost: localhost\r\n",
        b"GET http://localhost/data.json HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /data.json?token=a-token HTTP/1.1\r\n",
        b"GET /data.json?token=a-token HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n",
        b"GET /data.json?token=a-token HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n",
        b"GET /data.json?token=a-token\r\n",
        b"HEAD /data.json HTTP/1.1\r\nHost: localhost\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n",
        b"get /data.json?token=a-token HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_other_requests_get_nothing_of_the_run(served, asked):
    _, ask = served
    with socket.create_connection(ask.address, timeout=10) as connection:
        connection.sendall(asked + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.match(rb"HTTP/1.1 (403|501) ", answer) or b"Error code: 403" in answer
    assert b"logbook" not in answer
    assert b"Access-Control" not in answer


def test_a_request_with_what_the_browser_has_already_needs_the_token_too(served):
    _, ask = served
    tag = ask("/data.json")[0].getheader("ETag")
    assert ask("/data.json", **{"If-None-Match": tag})[0].status == 304
    assert ask("/data.json", token=None, **{"If-None-Match": tag})[0].status == 403
    assert ask("/data.json", "HEAD", token="a-toke")[0].status == 403


def test_nothing_can_be_sent_to_it(served):
    _, ask = served
    for method in ("POST", "PUT", "DELETE"):
        assert ask("/data.json", method)[0].status == 501


def test_a_run_without_a_row_is_waited_for(served):
    folder, ask = served
    (folder / "logbook.csv").unlink()
    answer, content = ask("/data.json")
    assert answer.status == 200
    assert str(folder / "logbook.csv") in json.loads(content)["waiting"]


def test_the_family_is_shown_when_the_run_has_ended(finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "SECONDS", 0.0)
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    follower = live.Follower(folder)
    assert "family" in json.loads(follower.content()[0])
    (folder / "status.json").write_text('{"state": "running"}')
    found = json.loads(follower.content()[0])
    assert "family" not in found
    assert "filters" in found


def test_an_address_that_cannot_be_had_is_reported_in_one_line(tmp_path):
    folder = bare(tmp_path / "run")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"argument --serve: cannot listen at 127\.0\.0\.1 port {port} \(Address"):
            make_server(folder, port, "127.0.0.1", TOKEN)
    with pytest.raises(InputError, match="argument --serve: cannot listen at no host port 0"):
        make_server(folder, 0, "no host", TOKEN)


def test_the_command_listens_on_this_host_alone_and_ends_with_ctrl_c(tmp_path):
    folder = bare(tmp_path / "run")
    command = [sys.executable, "-m", "deap_nn.report", str(folder), "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split()[0]
        host, port = address.removeprefix("http://").partition("/")[0].split(":")
        query = address.partition("?")[2]
        assert host == "127.0.0.1"
        assert len(query) > 32
        for path, status in ((f"/data.json?{query}", 200), ("/data.json", 403)):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            connection.request("GET", path)
            assert connection.getresponse().status == status
            connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
