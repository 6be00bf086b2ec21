"""Commands that speak to the running node: what they must know of it, and what they tell."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.environment import SettingsError
from penpay import doctor, operator
from penpay.cli import app
from penpay.operator import Node, NodeUnreachable

ROOT = {
    "path": "penpay",
    "kind": "supervisor",
    "state": "running",
    "restarts": 0,
    "mailbox_depth": 0,
    "oldest_message_s": 0,
    "last_failure": "",
    "children": [],
}
USER = "01KAF0Z3T9V5N5W6H3C8Q2YB7C"
ERASE = ("erase", USER, "--by", "Achieng Otieno", "--second", "Brian Kamau", "--evidence", "ticket 4711")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, str]]]:
    """What a node's internal listener is asked: method, path, authorization. Only its address and token are set."""
    requests: list[tuple[str, str, str]] = []

    class Listener(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.append((self.command, self.path, self.headers.get("Authorization", "")))
            told = {"accepted": True} if self.path == "/ops/tree/ops/restart" else {"told": self.path}
            body = json.dumps(ROOT if self.path == "/ops/tree" else told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - named by the standard library

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENPAY_HTTP__INTERNAL_BIND", f"127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PENPAY_SECURITY__OPS_TOKEN", "ops-word-97")
    yield requests
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("command", "request_line"),
    [
        (("tree",), ("GET", "/ops/tree")),
        (("restart", "rails/deriv"), ("POST", "/ops/tree/rails/deriv/restart")),
        (("drain",), ("POST", "/ops/drain")),
        ((*ERASE, "--yes"), ("POST", f"/admin/v1/users/{USER}/erase")),
    ],
    ids=["tree", "restart", "drain", "erase"],
)
def test_a_node_is_found_by_its_address_and_its_token_alone(asked, command, request_line):
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.exception
    assert asked == [(*request_line, "Bearer ops-word-97")]


def test_a_path_is_asked_for_as_it_was_typed(asked):
    assert CliRunner().invoke(app, ["restart", "/rails/a b?"]).exit_code == 0
    assert asked[0][1] == "/ops/tree/rails/a%20b%3F/restart"


def test_what_cuts_its_own_answer_is_not_called_restarted(asked):
    assert CliRunner().invoke(app, ["restart", "rails/deriv"]).stdout == "rails/deriv was restarted\n"
    assert CliRunner().invoke(app, ["restart", "ops"]).stdout.startswith("ops is being restarted: ")


def test_another_service_says_nothing_about_readiness(asked):
    with pytest.raises(NodeUnreachable, match=r"^no node on 127\.0\.0\.1:\d+: GET /readyz answered 200$"):
        Node.configured(os.environ).readiness()


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"HTTP/1.0 200 OK\r\n\r\n<html>", b"HTTP/1.0 200 OK\r\n\r\n[]"])
def test_somebody_else_on_the_port_is_no_node(answer, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as door:

        def be_somebody_else() -> None:
            line, _ = door.accept()
            with line:
                line.recv(4096)
                line.sendall(answer)

        port = door.getsockname()[1]
        monkeypatch.setenv("PENPAY_HTTP__INTERNAL_BIND", f"127.0.0.1:{port}")
        thread = threading.Thread(target=be_somebody_else)
        thread.start()
        said = CliRunner().invoke(app, ["tree", "--json"])
        thread.join()
    assert said.exit_code == 1
    assert said.stderr.startswith(f"penpay: no node on 127.0.0.1:{port}: ")
    assert said.stdout == ""


def test_the_doctor_says_that_a_node_takes_no_orders():
    class Deaf:
        def readiness(self):
            return {"ready": True, "dependencies": {}}

        def call(self, method: str, path: str):
            raise NodeUnreachable(f"{method} {path} answered 401 This needs the operators' token.")

    assert [(one.check, one.level, one.detail) for one in doctor._node(Deaf())] == [
        ("node", "ok", "ready"),
        (
            "node: operators",
            "note",
            "GET /ops/tree answered 401 This needs the operators' token. See PENPAY_SECURITY__OPS_TOKEN",
        ),
    ]


def test_a_frozen_node_is_called_so_and_keeps_nobody_who_looks(monkeypatch):
    monkeypatch.setattr(operator, "LOOK_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        node = Node("127.0.0.1", frozen.getsockname()[1], "")
        with pytest.raises(NodeUnreachable, match=r"^what listens on .* has not answered GET /ops/tree for"):
            node.call("GET", "/ops/tree")


def test_an_address_that_is_none_is_told_in_one_line(asked, monkeypatch):
    monkeypatch.setenv("PENPAY_HTTP__INTERNAL_BIND", "8081")
    said = CliRunner().invoke(app, ["tree"])
    assert isinstance(said.exception, SettingsError)
    assert str(said.exception) == "PENPAY_HTTP__INTERNAL_BIND: must be HOST:PORT"
    assert asked == []


@pytest.mark.parametrize(
    ("command", "document"),
    [
        (("tree",), ROOT),
        (("restart", "rails/deriv"), {"told": "/ops/tree/rails/deriv/restart"}),
        (("drain",), {"told": "/ops/drain"}),
        (ERASE, {"user": USER, "erased": False}),
        ((*ERASE, "--yes"), {"told": f"/admin/v1/users/{USER}/erase"}),
    ],
    ids=["tree", "restart", "drain", "erase to be said", "erase"],
)
def test_a_machine_gets_the_answer_of_the_node(asked, command, document):
    said = CliRunner().invoke(app, [*command, "--json"])
    assert said.exit_code == 0, said.exception
    (line,) = said.stdout.splitlines()
    assert json.loads(line) == document
