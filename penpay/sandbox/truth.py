"""The durable ground truth: an append-only file of JSON lines, written before any reply leaves.

Facts of many requests share one write. In fast mode the line reaches the kernel before the reply, but the disk is not
forced: the sandbox is the judge of a benchmark, not its victim, so it only has to survive its own restart.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import get_args

import orjson

from penpay.sandbox import facts as f
from penpay.sandbox.steps import ResultStep, StkStep
from penpay.sandbox.world import World

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(f.Fact)}
_STEPS: dict[str, type] = {"Push": StkStep, "Reversal": ResultStep, "Payout": ResultStep}


def _revive(line: bytes) -> f.Fact:
    name, values = orjson.loads(line)
    if step := _STEPS.get(name):
        known = {field.name for field in fields(step)}
        values["step"] = step(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values["step"].items() if k in known}
        )
    fact: f.Fact = _KINDS[name](**values)
    return fact


class Truth:
    """Records facts. `when_durable` and `durable` say when everything recorded so far has been written."""

    def __init__(self, path: Path, *, forced: bool) -> None:
        self.world = World()
        self._forced = forced
        self._lines: list[bytes] = []
        self._waiting: list[Callable[[], object]] = []
        self._flusher: asyncio.Task[None] | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._replay(path)
        self._file = path.open("ab", buffering=0)

    def _replay(self, path: Path) -> None:
        """Read the file back. A last line that a dying process left half-written never earned a reply: cut it off."""
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            os.truncate(path, whole)
        for line in data[:whole].splitlines():
            self.world.apply(_revive(line))

    def record(self, fact: f.Fact) -> None:
        """Make a fact true. It must become durable before anyone outside hears of it."""
        self._lines.append(orjson.dumps([type(fact).__name__, fact]))
        self.world.apply(fact)

    def when_durable(self, call: Callable[[], object]) -> None:
        """Call back as soon as all facts so far are written; at once when they are."""
        if not self._forced:
            if self._lines:
                self._write(self._take())
            call()
        elif self._lines or self._flusher is not None:
            self._waiting.append(call)
            if self._flusher is None:
                self._flusher = asyncio.get_running_loop().create_task(self._flush())
        else:
            call()

    async def durable(self) -> None:
        """Return when all facts so far are written."""
        if not self._lines and self._flusher is None:
            return
        written = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not written.done():
                written.set_result(None)

        self.when_durable(wake)
        await written

    def _take(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"\n".join(lines) + b"\n" if lines else b""

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]

    def _write_forced(self, data: bytes) -> None:
        self._write(data)
        os.fdatasync(self._file.fileno())

    async def _flush(self) -> None:
        """Write in rounds: what is recorded during one round shares the next."""
        loop = asyncio.get_running_loop()
        while self._waiting or self._lines:
            waiting, self._waiting = self._waiting, []
            await loop.run_in_executor(None, self._write_forced, self._take())
            for call in waiting:
                call()
        self._flusher = None

    def close(self) -> None:
        """Write the rest and let go of the file."""
        if self._lines:
            self._write_forced(self._take())
        self._file.close()
