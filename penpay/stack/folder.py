"""The folder of one run, and the environment that its processes see."""

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_PREFIX = "penpay-"
_LOCK_NAME = ".alive"


class RunFolder:
    """A short temporary folder that exists as long as its owner runs.

    A lock on a file inside marks it as in use. It is released by the kernel however the owner ends, so the next run
    can remove what a killed one left behind without ever guessing from process ids.
    """

    def __init__(self, parent: Path = Path("/tmp")) -> None:  # noqa: S108 - socket paths must be short; mkdtemp is private
        sweep(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = _locked_file(self.path)

    def remove(self) -> None:
        """Delete the folder and all in it. Harmless when called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def sweep(parent: Path) -> None:
    """Remove the folders of runs that ended without cleaning up; those in use and other users' stay."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _LOCK_NAME).open("rb") as lock:
            if folder.stat().st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _locked_file(folder: Path) -> IO[bytes]:
    """Create the lock under another name first: a sweeper must never see it unlocked."""
    early = folder / f"{_LOCK_NAME}.new"
    lock = early.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    early.rename(folder / _LOCK_NAME)
    return lock


def memory_folder(needed_bytes: int = 1 << 30) -> Path:
    """A parent folder in memory when there is room, else /tmp. For data that need not outlive the machine."""
    shared = Path("/dev/shm")  # noqa: S108 - the memory file system; folders in it are made private
    if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free >= needed_bytes:
        return shared
    return Path(tempfile.gettempdir())


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago: the system hands out others before it comes back to this one."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would configure our children behind our back."""
    return {name: value for name, value in environ.items() if not _configures_us(name)}


def _configures_us(name: str) -> bool:
    return name == "APP_ENV" or name.startswith(("PENPAY_", "PYTHON", "MYSQL_", "MARIADB_", "REDISCLI_"))


@contextlib.contextmanager
def run_folders() -> Iterator[tuple[Path, Path]]:
    """One folder for sockets and logs, one for data, in memory where possible."""
    with RunFolder() as sockets, RunFolder(memory_folder()) as data:
        yield sockets.path, data.path
