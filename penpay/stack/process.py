"""One child process with a log, a ready check, and every way to end it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_POLL_S = 0.01
_LOG_TAIL_LINES = 20


class ProcessFailed(RuntimeError):
    """A child ended or stayed unready. The text carries the end of its log."""


class ChildProcess:
    """A program that lives at most as long as we do.

    `stdout` and `stderr` go to `<folder>/<name>.out` and `.log`, appended over restarts. Start it from a thread that
    lives as long as the child is wanted: the kernel ties the child's death to that thread, not to the process.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_timeout_s: float = 15.0,
        start_timeout_s: float = 30.0,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.folder = folder
        self.env = None if env is None else dict(env)
        self.stop_signal = stop_signal
        self.stop_timeout_s = stop_timeout_s
        self.start_timeout_s = start_timeout_s
        self.log_path = folder / f"{name}.log"
        self.out_path = folder / f"{name}.out"
        self._out_offset = 0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the current incarnation; an error when it was never started."""
        if self._popen is None:
            raise ProcessFailed(f"{self.name} was not started")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Exit status, negative for a signal; nothing while it runs or before it started."""
        return None if self._popen is None else self._popen.poll()

    def is_running(self) -> bool:
        """Whether an incarnation is alive, ready or not."""
        return self._popen is not None and self._popen.poll() is None

    def is_ready(self) -> bool:
        """Ready means here: it printed a line of JSON on stdout. Servers that say nothing override this."""
        return self._ready_line() is not None

    def ready_report(self) -> dict[str, object]:
        """The first JSON object that this incarnation printed on stdout."""
        report = self._ready_line()
        if report is None:
            raise ProcessFailed(f"{self.name} has not reported ready")
        return report

    def prepare(self) -> None:
        """Called before each start; for folders that the program expects."""

    def spawn(self) -> None:
        """Start without waiting. Starting a running child is an error."""
        if self.is_running():
            raise ProcessFailed(f"{self.name} runs already as {self.pid}")
        self.prepare()
        with self.out_path.open("ab") as out, self.log_path.open("ab") as log:
            self._out_offset = out.tell()
            self._popen = subprocess.Popen(  # noqa: S603 - our own argument lists, no shell
                [*_die_with_parent(), *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=self.env,
                # A Ctrl-C in the terminal must reach only us: we stop our children in order.
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Block until ready; `ProcessFailed` if it ends or takes longer than `start_timeout_s`."""
        deadline = time.monotonic() + self.start_timeout_s
        while not self.is_ready():
            if not self.is_running():
                raise ProcessFailed(f"{self.name} ended with {self.exit_code} before it was ready\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} not ready after {self.start_timeout_s} s\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def start(self) -> None:
        """Start and wait until ready."""
        self.spawn()
        self.wait_ready()

    def stop(self) -> int | None:
        """Ask it to end, kill it when it does not; its exit status. Harmless when it is not running."""
        if self._popen is None:
            return None
        if self.is_running():
            self._popen.send_signal(self.stop_signal)
            try:
                self._popen.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, e.g. SIGSTOP and SIGCONT for a paused process; nothing when it is gone."""
        if self._popen is not None and self.is_running():
            self._popen.send_signal(number)

    def restart(self) -> None:
        """Orderly stop, then start again."""
        self.stop()
        self.start()

    async def start_async(self) -> None:
        """`start` for a running loop: spawned from this thread, awaited without blocking it."""
        self.spawn()
        await asyncio.to_thread(self.wait_ready)

    async def stop_async(self) -> int | None:
        """`stop` without blocking the loop."""
        return await asyncio.to_thread(self.stop)

    async def restart_async(self) -> None:
        """`restart` without blocking the loop."""
        await self.stop_async()
        await self.start_async()

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines of stderr, for an error message."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _ready_line(self) -> dict[str, object] | None:
        if not self.out_path.exists():
            return None
        with self.out_path.open("rb") as out:
            out.seek(self._out_offset)
            for line in out:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    report: dict[str, object] = json.loads(line)
                    return report
        return None


def _die_with_parent() -> list[str]:
    """The kernel kills the child when our thread ends, whatever ended it. Elsewhere than on Linux, only `stop` does."""
    setpriv = shutil.which("setpriv", path=os.environ.get("PATH", os.defpath))
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
