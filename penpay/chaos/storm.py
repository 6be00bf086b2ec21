"""What breaks, played on a private installation: processes killed and paused, servers away, lines cut."""

import asyncio
import http.client
import itertools
import secrets
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from penpay.chaos.pace import LEASE_S
from penpay.chaos.plan import Blow, Kind
from penpay.demo.rails import SandboxControl
from penpay.stack import NodeProcess, PrivateInstallation

PAUSE_S = LEASE_S + 2.0
UPDATING_S = 1.0
REFUSED = 1
"""Exit status of a node that could not start, for example because the database was away at that moment."""
READY_S = 15.0
SERVING_S = 2.0
"""A node is killed when one has been ready for so long since the last time, or after all of `READY_S`."""
_WATCH_S = 0.1
_APART = frozenset({Kind.KILL, Kind.PAUSE})
"""What takes long by itself and lets everything else go on."""


class NodeLeft(Exception):
    """A node ended without having been told to."""


class Storm:
    """Plays blows one by one. A node that is down is started again at once, as a process manager would."""

    def __init__(
        self, installation: PrivateInstallation, control: SandboxControl, said: Callable[[Blow], None] = lambda _: None
    ) -> None:
        self._installation = installation
        self._control = control
        self._said = said
        self._paused: set[str] = set()
        self._killing = asyncio.Lock()
        self._in_turn = itertools.cycle(installation.nodes)
        self.blows: Counter[Kind] = Counter()
        self.refused_starts = 0

    async def rage(self, blows: Iterable[Blow]) -> None:
        """Until it is cancelled, or a node has left by itself: `NodeLeft`."""
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._restart_refused())
            for blow in blows:
                await asyncio.sleep(max(0.0, began_s + blow.at_s - time.monotonic()))
                group.create_task(self._play(blow)) if blow.kind in _APART else await self._play(blow)

    async def heal(self) -> None:
        """Everything is up again and every node runs. What was scripted and not yet used is forgotten."""
        for node in self._installation.nodes:
            node.send(signal.SIGCONT)
        for server in (self._installation.mariadb, self._installation.redis):
            if not server.is_running():
                await server.start_async()
        await self._control.post("/deriv/site", {"status": "up"})
        await self._control.post("/deriv/script", {"clear": True})
        await self._control.post("/daraja/script", {"clear": True})
        for node in self._installation.nodes:
            self._raise_if_left(node)
            if not node.is_running():
                node.spawn()

    async def _play(self, blow: Blow) -> None:
        if blow.kind is Kind.KILL and self._killing.locked():
            return
        self.blows[blow.kind] += 1
        self._said(blow)
        match blow.kind:
            case Kind.KILL:
                await self._kill()
            case Kind.PAUSE:
                await self._pause()
            case Kind.DATABASE_KILLED:
                self._installation.mariadb.kill()
                await self._start_after(blow.away_s, self._installation.mariadb.start_async)
            case Kind.DATABASE_RESTARTED:
                await self._installation.mariadb.stop_async()
                await self._start_after(blow.away_s, self._installation.mariadb.start_async)
            case Kind.REDIS_FLUSHED:
                self._installation.redis.flush()
            case Kind.REDIS_KILLED:
                self._installation.redis.kill()
                await self._start_after(blow.away_s, self._installation.redis.start_async)
            case Kind.DERIV_CUT:
                await self._control.post("/deriv/drop", {})
            case Kind.DERIV_UPDATING:
                await self._control.post("/deriv/site", {"status": "updating", "drop_after_s": UPDATING_S})
                await asyncio.sleep(UPDATING_S + blow.away_s)
                await self._control.post("/deriv/site", {"status": "up"})
            case Kind.DARAJA_CUT:
                await self._control.post("/daraja/drop", {})
            case Kind.FORGED:
                await self._forge()

    async def _kill(self) -> None:
        """The next in turn dies and starts again under its own name.

        Not before somebody has served since the last time, or a slow machine would only ever see nodes start.
        """
        async with self._killing:
            await asyncio.to_thread(self._until_somebody_is_ready)
            self._kill_next()

    def _until_somebody_is_ready(self) -> None:
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            awake = [node for node in self._installation.nodes if node.name not in self._paused]
            if any(node.status("/readyz") == http.client.OK for node in awake):
                time.sleep(SERVING_S)
                return
            time.sleep(_WATCH_S)

    def _kill_next(self) -> None:
        for node in itertools.islice(self._in_turn, len(self._installation.nodes)):
            self._raise_if_left(node)
            if node.name not in self._paused and node.is_running():
                node.kill()
                node.spawn()
                return

    async def _pause(self) -> None:
        """It wakes up in the middle of whatever it was doing, and its leases are gone."""
        node = await asyncio.to_thread(self._busiest)
        if node.name in self._paused or not node.is_running():
            return
        self._paused.add(node.name)
        try:
            node.send(signal.SIGSTOP)
            await asyncio.sleep(PAUSE_S)
        finally:
            node.send(signal.SIGCONT)
            self._paused.discard(node.name)

    def _busiest(self) -> NodeProcess:
        """The one that has the shards, if any says so."""
        awake = [node for node in self._installation.nodes if node.name not in self._paused]
        return max(awake or self._installation.nodes, key=lambda node: node.status("/readyz") == http.client.OK)

    async def _forge(self) -> None:
        """A stranger posts perfect callbacks to made-up addresses; whoever answers must answer 404."""
        for node in self._installation.nodes:
            for kind in ("d", "p"):
                url = f"{node.public_url}/cb/{kind}/{secrets.token_hex(35)}"
                told = await self._control.post("/forge", {"url": url, "amount_kes": 1300})
                if told["status"] not in {0, 404}:
                    raise NodeLeft(f"{node.name} answered a forged callback with {told['status']}")

    async def _start_after(self, away_s: float, start: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(away_s)
        await start()

    async def _restart_refused(self) -> None:
        """A start that was refused is tried again; any other end is nobody's doing but the node's own."""
        while True:
            for node in self._installation.nodes:
                self._raise_if_left(node)
                if not node.is_running():
                    self.refused_starts += 1
                    node.spawn()
            await asyncio.sleep(_WATCH_S)

    def _raise_if_left(self, node: NodeProcess) -> None:
        if not node.is_running() and node.exit_code != REFUSED:
            raise NodeLeft(f"{node.name} ended with {node.exit_code}\n{node.log_tail(12)}")
