"""A whole tree: starts and stops it, finds its members by path, and says when it has failed."""

import asyncio
import random
from typing import Any

import structlog

from actors.base import ActorSystem, Cell, Exit, NoSuchActor, RuntimeObserver, StartFailed, Unavailable, exits
from supervisors.child import RestartChild, StartChild, StopChild
from supervisors.introspection import Census, census, describe_root, living
from supervisors.registry import Registry
from supervisors.specs import SupervisorSpec
from supervisors.supervisor import Supervisor
from supervisors.surroundings import Surroundings

log = structlog.get_logger("penpay.supervision")

COMMAND_MAX_S = 120.0


class CommandRefused(Unavailable):
    """Another command for this path is still under way."""


class SupervisionTree:
    """The owner of the root supervisor. Operators call the root by its name, `penpay`; addresses leave it out.

    `failed` is set when the root gave up: the process must end (70).
    """

    address = ""

    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        randomness: random.Random,
        observer: RuntimeObserver | None = None,
        stall_check_s: float = 5.0,
    ) -> None:
        self.spec = spec
        self.system = ActorSystem(observer)
        self.registry = Registry(self.system)
        self._surroundings = Surroundings(self.system, self.registry, randomness, stall_check_s)
        self._root: Cell | None = None
        self._stopping = False
        self._under_way: set[str] = set()
        self._failed: asyncio.Future[Exit] | None = None

    @property
    def failed(self) -> "asyncio.Future[Exit]":
        """Done when the root supervisor ended without being asked to."""
        assert self._failed is not None, "the tree was not started"
        return self._failed

    async def start(self) -> None:
        """Start everything in order; returns when all are ready. Raises `StartFailed`; then nothing is left running."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        self._root = Cell(
            Supervisor,
            system=self.system,
            loop=loop,
            recipe=lambda _: (Supervisor, (self.spec, self._surroundings)),
            owner=self,
        )
        self._root.launch()
        try:
            await self._root.ready()
        except StartFailed as error:
            inner = error.cause
            while isinstance(inner, StartFailed) and isinstance(inner.cause, StartFailed):
                inner = inner.cause
            raise (inner if isinstance(inner, StartFailed) else error) from error

    async def stop(self) -> None:
        """Stop everything in reverse order. Idempotent."""
        self._stopping = True
        if self._root is not None:
            await self._root.shutdown(None)

    # --- operators ---

    async def restart(self, path: str, *, timeout_s: float = COMMAND_MAX_S) -> None:
        """Restart what lives at `path`, with those that depend on it; returns when they are ready.

        Not counted in any intensity. Raises `NoSuchActor`; `CommandRefused` while a command for this path runs.
        """
        parent, name = self._parent_of(path)
        await self._command(path, parent, RestartChild(name), timeout_s)

    async def stop_child(self, path: str, *, timeout_s: float = COMMAND_MAX_S) -> None:
        """Stop what lives at `path`, with those that depend on it, until `start_child`."""
        parent, name = self._parent_of(path)
        if not name:
            raise NoSuchActor(f"{path} has no parent that could start it again")
        await self._command(path, parent, StopChild(name), timeout_s)

    async def start_child(self, path: str, *, timeout_s: float = COMMAND_MAX_S) -> None:
        """Start what was stopped or parked; returns when it is ready."""
        parent, name = self._parent_of(path)
        await self._command(path, parent, StartChild(name), timeout_s)

    def describe(self) -> dict[str, Any]:
        """The tree as `GET /ops/tree` shows it."""
        return describe_root(self.spec.name, self._root)

    def living(self) -> list[Cell]:
        """Everybody who lives now, parents first."""
        return list(living(self._root))

    def census(self) -> dict[str, Census]:
        """How many actors of each kind live, and what waits in their mailboxes."""
        return census(self._root)

    def _parent_of(self, path: str) -> tuple[Cell, str]:
        """The supervisor in charge of `path`, and the child's name there; for the root itself the name is empty."""
        root = self._root
        if root is None:
            raise NoSuchActor(path)
        path = path.strip("/")
        if path in ("", self.spec.name):
            return root, ""
        parent_path, _, name = path.removeprefix(f"{self.spec.name}/").rpartition("/")
        parent = self.registry.cell(parent_path) if parent_path else root
        if parent is None:
            raise NoSuchActor(path)
        return parent, name

    async def _command(self, path: str, supervisor: Cell, command: object, timeout_s: float) -> None:
        if path in self._under_way:
            raise CommandRefused(f"a command for {path} is under way", retry_after_s=1.0)
        log.warning("operator's command", command=type(command).__name__, path=path)
        self._under_way.add(path)
        try:
            await supervisor.ref.aask(command, timeout_s)
        finally:
            self._under_way.discard(path)

    # --- owner of the root ---

    def child_ready(self, cell: Cell) -> None:
        """The whole tree is ready."""
        log.info("tree is ready", incarnation=cell.incarnation)

    def child_exited(self, cell: Cell, ending: Exit) -> None:
        """The root ended: asked to, or it gave up."""
        cell.finish(ending)
        if (
            self._failed is not None
            and not self._failed.done()
            and not (self._stopping or ending.reason == exits.SHUTDOWN)
        ):
            self._failed.set_result(ending)
