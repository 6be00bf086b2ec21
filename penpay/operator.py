"""What an operator asks of a running node, over its internal listener: tree, restart, drain."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from config.sections import InternalListener, OperatorAccess
from config.settings import load_section

PATIENCE_S = 130.0
"""A restart answers when everything below is ready again."""
LOOK_S = 10.0
"""A look is answered at once, or by nobody: whoever looks at night must not wait for a frozen node."""
_COLOURS = {"running": "green", "ready": "green", "parked": "red", "stopped": "yellow"}


class NodeUnreachable(Exception):
    """Nobody answers on the internal listener, or it says no."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node's internal listener as the settings name it (`PENPAY_HTTP__INTERNAL_BIND`)."""

    host: str
    port: int
    token: str

    @classmethod
    def configured(cls, environ: Mapping[str, str]) -> "Node":
        """The node that the environment names, for a command that needs to know no more. Raises `SettingsError`."""
        return cls.of(load_section(environ, InternalListener), load_section(environ, OperatorAccess))

    @classmethod
    def of(cls, listener: InternalListener, access: OperatorAccess) -> "Node":
        """The node of this machine's configuration."""
        host = listener.internal_bind.host
        anywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
        return cls(
            "127.0.0.1" if host in anywhere else host,
            listener.internal_bind.port,
            access.ops_token.get_secret_value(),
        )

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """One request; the answer's JSON. Raises `NodeUnreachable` with a sentence for a person."""
        status, content = self._ask(method, path, body)
        if status >= http.client.BAD_REQUEST:
            raise NodeUnreachable(f"{method} {path} answered {status} {content.get('detail', '')}".strip())
        return content

    def readiness(self) -> Mapping[str, Any]:
        """What `/readyz` says, ready or not. Raises `NodeUnreachable`."""
        status, told = self._ask("GET", "/readyz", None)
        if "ready" not in told:
            raise NodeUnreachable(f"no node on {self.host}:{self.port}: GET /readyz answered {status}")
        return told

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]]:
        patience_s = LOOK_S if method == "GET" else PATIENCE_S
        connection = http.client.HTTPConnection(self.host, self.port, timeout=patience_s)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            if body is None:
                connection.request(method, path, headers=headers)
            else:
                json_headers = {**headers, "Content-Type": "application/json"}
                connection.request(method, path, json.dumps(body).encode(), json_headers)
            answer = connection.getresponse()
            said = answer.read()
        except TimeoutError as error:
            raise NodeUnreachable(
                f"what listens on {self.host}:{self.port} has not answered {method} {path} for {patience_s:.0f} s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise NodeUnreachable(f"no node on {self.host}:{self.port}: {error}") from error
        finally:
            connection.close()
        try:
            content = json.loads(said)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            what = f"{method} {path} answered {answer.status} and no JSON object"
            raise NodeUnreachable(f"no node on {self.host}:{self.port}: {what}")
        return answer.status, content


def show_tree(console: Console, root: Mapping[str, Any]) -> None:
    """The supervision tree, one line per member."""
    console.print(_branch(root, Tree(_line(root))))


def _branch(node: Mapping[str, Any], tree: Tree) -> Tree:
    for child in node["children"]:
        _branch(child, tree.add(_line(child)))
    return tree


def _line(node: Mapping[str, Any]) -> str:
    colour = _COLOURS.get(str(node["state"]), "white")
    name = str(node["path"]).rpartition("/")[2]
    line = f"{escape(name)} [dim]{node['kind']}[/] [{colour}]{node['state']}[/]"
    if node["restarts"]:
        line += f" restarts {node['restarts']}"
    if node["mailbox_depth"]:
        line += f" mailbox {node['mailbox_depth']} ({node['oldest_message_s']} s)"
    observed = node.get("observed", {})
    if observed.get("last"):
        line += f" [dim]{escape(observed['last'])}[/]"
    if observed.get("problem"):
        line += f" [yellow]{escape(observed['problem'])}[/]"
    return line + (f" [red]{escape(node['last_failure'])}[/]" if node["last_failure"] else "")
