"""A private MariaDB with its own data folder, reached by a Unix socket only."""

import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pymysql

from penpay.stack.process import ChildProcess, ProcessFailed

Login = Literal["admin", "runtime"]

_LOGIN_NAMES: Mapping[Login, str] = {"admin": "penpay_admin", "runtime": "penpay_runtime"}

# The same layout at creation and at every start, or InnoDB refuses the folder. The small increment keeps an empty
# data folder near 23 MB instead of 126, so that tests can copy it.
_SPACE_OPTIONS = (
    "--innodb-data-file-path=ibdata1:3M:autoextend",
    "--innodb-autoextend-increment=1",
    "--innodb-undo-tablespaces=0",
)

# What a server must not be without to keep a commit, and to fail a lost race instead of hiding it. PenPay checks the
# same at start-up and refuses a server that differs, so a private one sets them openly.
_SAFETY_OPTIONS = (
    "--innodb-flush-log-at-trx-commit=1",
    "--sync-binlog=1",
    "--innodb-rollback-on-timeout=ON",
    "--innodb-snapshot-isolation=ON",
    "--innodb-doublewrite=ON",
    "--transaction-isolation=READ-COMMITTED",
)

_SERVER_OPTIONS = (
    "--skip-networking",
    "--skip-name-resolve",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",
    "--max-connections=200",
    "--max-allowed-packet=64M",
)


class PrivateMariaDB(ChildProcess):
    """One server for one installation: `folder` keeps its data, logins and logs; `socket_folder` must be short.

    Two logins exist: `admin` may do everything and is for `migrate`; `runtime` owns nothing until `migrate` grants it
    something. Their passwords are drawn once per data folder, so that a restart keeps them.
    """

    def __init__(
        self, folder: Path, *, socket_folder: Path, name: str = "mariadb", buffer_pool_mb: int = 64, log_mb: int = 32
    ) -> None:
        self.data_path = folder / "data"
        self.socket_path = socket_folder / f"{name}.sock"
        self._logins_path = folder / "logins.json"
        # Its own: a server that starts removes whatever looks like a temporary table, also another server's.
        self._tmp_path = folder / "tmp"
        argv = [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.data_path}",
            f"--socket={self.socket_path}",
            f"--pid-file={socket_folder / name}.pid",
            f"--tmpdir={self._tmp_path}",
            f"--innodb-buffer-pool-size={buffer_pool_mb}M",
            f"--innodb-log-file-size={log_mb}M",
            *_SPACE_OPTIONS,
            *_SAFETY_OPTIONS,
            *_SERVER_OPTIONS,
            *_user_option(),
        ]
        super().__init__(name, argv, folder=folder, start_timeout_s=60.0)

    @classmethod
    def from_template(cls, template: Path, folder: Path, *, socket_folder: Path, name: str) -> "PrivateMariaDB":
        """A server on a copy of the data folder of a stopped one: a tenth of the time of a new one."""
        shutil.copytree(template, folder, ignore=shutil.ignore_patterns("*.log", "*.out"))
        return cls(folder, socket_folder=socket_folder, name=name)

    def url(self, login: Login = "runtime") -> str:
        """In the form of `PENPAY_DATABASE__URL`; `admin` for `PENPAY_DATABASE__ADMIN_URL`."""
        password = quote(self._passwords()[login], safe="")
        return f"mysql://{_LOGIN_NAMES[login]}:{password}@localhost/?unix_socket={quote(str(self.socket_path))}"

    @contextmanager
    def connect(self, login: Login = "admin") -> Iterator["pymysql.connections.Connection[Any]"]:
        """A plain blocking connection with autocommit, for tests and set-up; closed at the end."""
        connection = self._connect(_LOGIN_NAMES[login], self._passwords()[login])
        try:
            yield connection
        finally:
            connection.close()

    def prepare(self) -> None:
        """Create the data folder the first time; a half created one, from an interrupted start, is made anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # A socket left by a killed incarnation would only confuse who reads the folder.
        self.socket_path.unlink(missing_ok=True)
        self._tmp_path.mkdir(exist_ok=True)
        if not self.data_path.is_dir():
            half_made = self.folder / "data.new"
            shutil.rmtree(half_made, ignore_errors=True)
            _install(half_made, self._tmp_path)
            half_made.rename(self.data_path)

    def is_ready(self) -> bool:
        """Ready means that somebody can log in; the first time that creates the logins."""
        # Asked without the driver, which leaves its socket open when nobody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self.socket_path)) != 0:
                return False
        self._connect(_account_name(), "").close()
        if not self._logins_path.exists():
            self._create_logins()
        return True

    def _connect(self, user: str, password: str) -> "pymysql.connections.Connection[Any]":
        return pymysql.connect(
            unix_socket=str(self.socket_path),
            user=user,
            password=password,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
        )

    def _create_logins(self) -> None:
        passwords = {login: secrets.token_urlsafe(18) for login in _LOGIN_NAMES}
        connection = self._connect(_account_name(), "")
        try:
            with connection.cursor() as cursor:
                for login, name in _LOGIN_NAMES.items():
                    cursor.execute("CREATE OR REPLACE USER %s@localhost IDENTIFIED BY %s", (name, passwords[login]))
                cursor.execute("GRANT ALL ON *.* TO %s@localhost WITH GRANT OPTION", (_LOGIN_NAMES["admin"],))
        finally:
            connection.close()
        early = self._logins_path.with_suffix(".new")
        early.touch(mode=0o600)
        early.write_text(json.dumps(passwords))
        early.rename(self._logins_path)

    def _passwords(self) -> dict[Login, str]:
        passwords: dict[Login, str] = json.loads(self._logins_path.read_text())
        return passwords


def _install(data_path: Path, tmp_path: Path) -> None:
    installed = subprocess.run(  # noqa: S603 - our own argument list
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={data_path}",
            f"--tmpdir={tmp_path}",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={_account_name()}",
            "--skip-test-db",
            # Else it wants to look up this machine's name, which a bare one cannot; we know only Unix sockets.
            "--force",
            "--innodb-log-file-size=4M",
            *_SPACE_OPTIONS,
            *_user_option(),
        ],
        # It gives its reasons on stdout.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        raise ProcessFailed(f"mariadb-install-db ended with {installed.returncode}\n{installed.stdout[-2000:]}")


def _account_name() -> str:
    """Who the server's peer check sees: the account that we run under, whatever the environment says."""
    return pwd.getpwuid(os.geteuid()).pw_name


def _user_option() -> list[str]:
    """As root the server wants to be told that this is meant."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _program(name: str) -> str:
    # Debian keeps the server in /usr/sbin, which an ordinary user's PATH lacks.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ProcessFailed(f"{name} is not installed; on Debian: apt-get install mariadb-server-core")
    return found
