"""A whole installation of one run: MariaDB, Redis, the sandbox rails and nodes, each a child process."""

import http.client
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from penpay.stack.folder import RunFolder, clean_environment, free_port, memory_folder
from penpay.stack.mariadb import PrivateMariaDB
from penpay.stack.process import ChildProcess, ProcessFailed
from penpay.stack.redis import PrivateRedis

SHARDS = 4
_HOST = "127.0.0.1"


class NodeProcess(ChildProcess):
    """`penpay serve` on two free ports. Ready means that `/readyz` says so."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], public_port: int) -> None:
        internal_port = free_port()
        self.public_url = f"http://{_HOST}:{public_port}"
        self.internal_url = f"http://{_HOST}:{internal_port}"
        own = {
            "PENPAY_NODE__NAME": name,
            "PENPAY_HTTP__PUBLIC_BIND": f"{_HOST}:{public_port}",
            "PENPAY_HTTP__INTERNAL_BIND": f"{_HOST}:{internal_port}",
            "PENPAY_HTTP__PUBLIC_URL": self.public_url,
        }
        super().__init__(
            name,
            [sys.executable, "-m", "penpay", "serve"],
            folder=folder,
            env={**own, **environment},
            stop_timeout_s=60.0,
            start_timeout_s=60.0,
        )

    def is_ready(self) -> bool:
        """Answered by the node itself on its internal listener."""
        return self.status("/readyz") == http.client.OK

    def status(self, path: str) -> int:
        """HTTP status of a GET on the internal listener; 0 when nobody answers."""
        target = urlsplit(self.internal_url)
        connection = http.client.HTTPConnection(target.hostname or _HOST, target.port, timeout=5.0)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


class PrivateInstallation:
    """Everything that one node needs, in folders of its own, and the node.

    Start it from the main thread: children die with the thread that started them. `settings` are environment variables
    that win over the ones chosen here, for instance `{"PENPAY_TIMING__SPEED": "30"}`. With `data` the database lives
    there and outlasts the run; without it, it is gone at the end.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        sandbox_options: Sequence[str] = (),
        data: Path | None = None,
        on_step: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self.settings = dict(settings or {})
        """Environment variables that win over the ones chosen here, for nodes that are added from now on."""
        self._on_step = on_step
        self._run_folder = RunFolder()
        self._data_folder = None if data else RunFolder(memory_folder())
        self.folder = self._run_folder.path
        data_path = data or (self._data_folder.path if self._data_folder else self.folder)
        self.mariadb = PrivateMariaDB(data_path / "mariadb", socket_folder=self.folder, buffer_pool_mb=128, log_mb=64)
        self.redis = PrivateRedis(self.folder)
        # Known before anything runs: the page that links customers sends their browser back to a registered address.
        self._public_port = free_port()
        self.sandbox = self._make_sandbox(data_path / "sandbox", sandbox_options)
        self.ops_token = secrets.token_urlsafe(24)
        self.nodes: list[NodeProcess] = []
        self._state_path = data_path / "state"

    @property
    def node(self) -> NodeProcess:
        """The first node."""
        return self.nodes[0]

    @property
    def parts(self) -> tuple[ChildProcess, ...]:
        """Its processes, those first that others need."""
        return (self.mariadb, self.redis, self.sandbox, *self.nodes)

    @property
    def control_url(self) -> str:
        """Where the sandbox takes scripts and tells its truth."""
        return str(self.sandbox.ready_report()["control_url"])

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this installation is configured by; nodes add their name and ports."""
        rails = self.sandbox.ready_report()["environment"]
        assert isinstance(rails, dict)
        return {
            **clean_environment(os.environ),
            "APP_ENV": "development",
            "PENPAY_NODE__SHARDS": str(SHARDS),
            "PENPAY_NODE__STATE_DIR": str(self._state_path),
            "PENPAY_DATABASE__URL": self.mariadb.url("runtime"),
            "PENPAY_DATABASE__ADMIN_URL": self.mariadb.url("admin"),
            "PENPAY_REDIS__URL": self.redis.url(),
            "PENPAY_SECURITY__OPS_TOKEN": self.ops_token,
            **rails,
            **self.settings,
        }

    def start(self) -> None:
        """Bring everything up in order and wait until the node takes business."""
        self.start_servers()
        self.start_node()

    def start_servers(self) -> None:
        """All that a node needs, and no node."""
        self._steps(
            ("database", self.mariadb.start), ("redis", self.redis.start), ("sandbox rails", self.sandbox.start)
        )

    def start_node(self) -> None:
        """The schemas and the first node, on servers that run."""
        self._steps(("migrations", lambda: self.run("migrate")), ("node", lambda: self.add_node("node-1").start()))

    def _steps(self, *steps: tuple[str, Callable[[], object]]) -> None:
        for step, action in steps:
            self._on_step(step)
            action()

    def add_node(self, name: str) -> NodeProcess:
        """Another node of the same installation, not yet started."""
        port = free_port() if self.nodes else self._public_port
        node = NodeProcess(name, self.folder, self.environment, port)
        self.nodes.append(node)
        return node

    def run(self, *arguments: str) -> str:
        """Run a `penpay` command against this installation and return what it printed.

        `ProcessFailed` with its last words on another exit status than 0.
        """
        environment = {**self.environment, **({**self.node.env} if self.nodes and self.node.env else {})}
        environment.setdefault("PENPAY_HTTP__PUBLIC_URL", f"http://{_HOST}")
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "penpay", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last_words = done.stdout[-2000:] + done.stderr[-2000:]
            raise ProcessFailed(f"penpay {' '.join(arguments)} ended with {done.returncode}\n{last_words}")
        return done.stdout

    def stop(self) -> None:
        """End everything in reverse order and remove the folders. Harmless when called again."""
        for child in reversed(self.parts):
            child.stop()
        self._run_folder.remove()
        if self._data_folder:
            self._data_folder.remove()

    def _make_sandbox(self, data_path: Path, options: Sequence[str]) -> ChildProcess:
        back = f"http://{_HOST}:{self._public_port}/api/v1/deriv/callback"
        argv = [sys.executable, "-m", "penpay.sandbox", "--data", str(data_path), "--redirect-url", back, *options]
        return ChildProcess("sandbox", argv, folder=self.folder, env=clean_environment(os.environ))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
