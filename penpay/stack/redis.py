"""A private Redis on a Unix socket."""

import os
import shutil
import socket
from pathlib import Path

from penpay.stack.process import ChildProcess, ProcessFailed


class PrivateRedis(ChildProcess):
    """Redis without persistence: for PenPay it accelerates, and losing it must cost nothing."""

    def __init__(self, folder: Path, *, name: str = "redis") -> None:
        self.socket_path = folder / f"{name}.sock"
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(folder),
            "daemonize": "no",
            "appendonly": "no",
            "save": "",
            "maxmemory": "128mb",
            # Rate-limit counters may go; streams are refilled from the outbox. Refusing writes would stop the relay.
            "maxmemory-policy": "volatile-ttl",
        }
        argv = [_program(folder), *(part for key, value in options.items() for part in (f"--{key}", value))]
        super().__init__(name, argv, folder=folder, start_timeout_s=10.0)

    def url(self, database: int = 0) -> str:
        """In the form of `PENPAY_REDIS__URL`."""
        return f"unix://{self.socket_path}?db={database}"

    def prepare(self) -> None:
        """A socket left by a killed incarnation would look like a ready server."""
        self.socket_path.unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Ready means that it answers a PING."""
        return self.command("PING") == "+PONG"

    def flush(self) -> None:
        """FLUSHALL, as an operator would by accident."""
        if self.command("FLUSHALL") != "+OK":
            raise ConnectionError("redis did not flush")

    def command(self, *words: str) -> str:
        """One command, first line of the answer; empty when the server cannot be reached."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5.0)
                connection.connect(str(self.socket_path))
                connection.sendall(request.encode())
                return connection.makefile("rb").readline().decode().rstrip()
        except OSError:
            return ""


def _program(folder: Path) -> str:
    """The server. Debian's redis-tools brings the program without its name; it acts by the name it is called by."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    if found := shutil.which("redis-server", path=path):
        return found
    checker = shutil.which("redis-check-rdb", path=path)
    if checker is None:
        raise ProcessFailed("redis-server is not installed; on Debian: apt-get install redis-tools")
    link = folder / "redis-server"
    if not link.is_symlink():
        link.symlink_to(Path(checker).resolve())
    return str(link)
