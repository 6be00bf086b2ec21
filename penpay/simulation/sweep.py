"""The crash-point sweep: every named step of both sagas, and a crash just before it, and just after it took effect.

A step is a commit of a transition, a row of an attempt, a callback that is stored, or a call to a provider. Each way
of a transaction is walked once without a crash to learn its steps, and then once per crash, or per pair of them.
"""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any

from penpay.domain.fx import Direction
from penpay.simulation.deriv import Deriv
from penpay.simulation.deriv_socket import ClientEnd
from penpay.simulation.mpesa import Mpesa
from penpay.simulation.mpesa_gateway import SimDaraja
from penpay.simulation.play import Outcome, play
from penpay.simulation.store.attempts import MemoryAttemptStore
from penpay.simulation.store.inbox import MemoryInboxStore
from penpay.simulation.store.ledger import MemoryLedgerTransaction
from penpay.simulation.twists import Twists
from penpay.simulation.world import Seed, World

BEFORE, AFTER = "before", "after"
_MONEY = ('"paymentagent_transfer"', '"paymentagent_withdraw"')


@dataclass(frozen=True, slots=True)
class Way:
    """One way that a transaction may take, from its first step to its end."""

    name: str
    direction: Direction
    always: tuple[str, ...] = ()


WAYS = (
    Way("a deposit that is credited", Direction.DEPOSIT),
    Way("a deposit that is given back", Direction.DEPOSIT, ("deriv.refuses",)),
    Way("a deposit whose push is not answered", Direction.DEPOSIT, ("daraja.lost_answer",)),
    Way("a deposit whose transfer is not answered", Direction.DEPOSIT, ("deriv.silent_executed",)),
    Way("a withdrawal that is paid", Direction.WITHDRAWAL),
    Way("a withdrawal that is returned", Direction.WITHDRAWAL, ("payout.fails_for_good",)),
    Way("a withdrawal whose debit is not answered", Direction.WITHDRAWAL, ("deriv.silent_executed",)),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A step and a side of it."""

    step: str
    side: str

    def __str__(self) -> str:
        return f"{self.side} {self.step}"


@dataclass(slots=True)
class Trap:
    """Waits for its points, one after the other, and kills the node that comes to them. Each step counts once."""

    armed: list[Point] = field(default_factory=list)
    passed: dict[Point, None] = field(default_factory=dict)
    world: World | None = None

    def watch(self, world: object) -> None:
        """The world that it is set in."""
        assert isinstance(world, World)
        self.world = world

    def snaps(self, point: Point) -> bool:
        """Whether whoever comes here dies."""
        self.passed[point] = None
        if self.armed and self.armed[0] == point:
            del self.armed[0]
            return True
        return False

    async def step(self, point: Point, node: str) -> None:
        """Somebody comes to a point; it may be the end of them."""
        if self.snaps(point):
            assert self.world is not None
            self.world.crash(node)
            await asyncio.get_running_loop().create_future()

    def effect(self, point: Point) -> None:
        """A provider has done something, and has not told anybody yet."""
        if self.snaps(point):
            assert self.world is not None
            for name in list(self.world.nodes):
                self.world.crash(name)

    # --- where the points are -----------------------------------------------------------------------------------

    @contextmanager
    def set(self) -> Iterator[None]:
        """Every step of every node passes here while a world runs."""
        changes: list[tuple[Any, str, Any]] = [
            *self._rows(),
            *self._calls(),
        ]
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
        for owner, name, part in changes:
            setattr(owner, name, part)
        try:
            yield
        finally:
            for owner, name, part in before:
                setattr(owner, name, part)
            self.world = None

    def _rows(self) -> Iterator[tuple[Any, str, Any]]:
        commit, begin, end = MemoryLedgerTransaction.commit, MemoryAttemptStore.begin, MemoryAttemptStore.end
        add = MemoryInboxStore.add

        async def committed(it: Any, batch: Any) -> None:
            names = [
                f"{unit.transaction.row.type} {event.event}"
                for unit in (planned.incoming.unit for planned in batch.units)
                if unit.transaction is not None
                for event in unit.transaction.events
            ]
            await self._around(names, it._node.name, lambda: commit(it, batch))  # noqa: SLF001

        async def began(it: Any, rail: str, epoch: int, operation_id: str, **named: Any) -> Any:
            kind = _kind(it, operation_id)
            work = partial(begin, it, rail, epoch, operation_id, **named)
            return await self._around([f"attempt of {kind}"], it._node.name, work)  # noqa: SLF001

        async def ended(it: Any, rail: str, epoch: int, what: Any, **named: Any) -> Any:
            work = partial(end, it, rail, epoch, what, **named)
            return await self._around([f"end of {what.kind}"], it._node.name, work)  # noqa: SLF001

        async def added(it: Any, row: Any, **named: Any) -> Any:
            names = [f"callback {row.kind}"] if row.kind not in {"balance", "credit"} else []
            return await self._around(names, it._node.name, lambda: add(it, row, **named))  # noqa: SLF001

        yield MemoryLedgerTransaction, "commit", committed
        yield MemoryAttemptStore, "begin", began
        yield MemoryAttemptStore, "end", ended
        yield MemoryInboxStore, "add", added

    async def _around(self, names: Sequence[str], node: str, work: Callable[[], Any]) -> Any:
        for name in names:
            await self.step(Point(name, BEFORE), node)
        result = await work()
        for name in names:
            await self.step(Point(name, AFTER), node)
        return result

    def _calls(self) -> Iterator[tuple[Any, str, Any]]:
        for name, effect in (("stk_push", "push"), ("reverse", "reverse"), ("pay_out", "pay_out")):
            yield SimDaraja, name, self._called(getattr(SimDaraja, name), f"call {name}")
            yield Mpesa, effect, self._done(getattr(Mpesa, effect), f"call {name}")
        send, move = ClientEnd.send, Deriv._move  # noqa: SLF001 - the moment at which money moves

        async def sent(it: Any, frame: str) -> None:
            if any(name in frame for name in _MONEY) and "dry_run" not in frame:
                await self.step(Point("call of Deriv", BEFORE), it._loop.name)  # noqa: SLF001
            await send(it, frame)

        def moved(it: Any, *args: Any) -> Any:
            result = move(it, *args)
            self.effect(Point("call of Deriv", AFTER))
            return result

        yield ClientEnd, "send", sent
        yield Deriv, "_move", moved

    def _called(self, call: Any, name: str) -> Any:
        async def called(it: Any, *args: Any, **named: Any) -> Any:
            await self.step(Point(name, BEFORE), it._loop.name)  # noqa: SLF001
            return await call(it, *args, **named)

        return called

    def _done(self, effect: Any, name: str) -> Any:
        def done(it: Any, *args: Any, **named: Any) -> Any:
            result = effect(it, *args, **named)
            self.effect(Point(name, AFTER))
            return result

        return done


def _kind(store: Any, operation_id: str) -> str:
    stored = store._schema.provider_operations.get(operation_id)  # noqa: SLF001
    return stored.kind if stored is not None else "nothing"


@dataclass(frozen=True, slots=True)
class Crashed:
    """One walk with its crashes."""

    way: Way
    points: tuple[Point, ...]
    outcome: Outcome
    missed: int
    """Points that the walk did not come to."""


def walk(way: Way, points: Sequence[Point] = ()) -> tuple[Crashed, Trap]:
    """One transaction from its beginning to its end."""
    trap = Trap(armed=list(points))
    twists = Twists(parts=trap.set, began=trap.watch)
    seed = Seed(1, faults=(), always=way.always, only=way.direction, twists=twists)
    return Crashed(way, tuple(points), play(seed), len(trap.armed)), trap


def sweep(*, pairs: bool = False, ways: Sequence[Way] = WAYS, jobs: int = 1) -> Iterator[Crashed]:
    """All single crashes of all ways, or all pairs of them; on several processes, in the same order."""
    for way in ways:
        found, trap = walk(way)
        yield found
        points = list(trap.passed)
        chosen = combinations(points, 2) if pairs else ((point,) for point in points)
        tasks = [(way, crashes) for crashes in chosen]
        if jobs <= 1:
            yield from map(_crashed, tasks)
            continue
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            yield from pool.imap(_crashed, tasks)


def _crashed(task: tuple[Way, Sequence[Point]]) -> Crashed:
    return walk(*task)[0]
