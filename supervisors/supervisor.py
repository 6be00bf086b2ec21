"""A supervisor: starts its children in order, restarts what breaks, gives up when it breaks too often."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from actors.base import (
    DEFER,
    AsyncioActor,
    Blueprint,
    Cell,
    DeferredReply,
    Exit,
    NoSuchActor,
    Recipe,
    StartFailed,
    State,
    Unavailable,
    exits,
)
from supervisors.backoff import Intensity
from supervisors.child import (
    CheckStalls,
    Child,
    ChildExited,
    ChildReady,
    Phase,
    RestartChild,
    StartChild,
    StartDue,
    StartOverdue,
    StopChild,
)
from supervisors.specs import AnySpec, ChildSpec, DynamicSpec, EntityHostSpec, SupervisorSpec
from supervisors.stalls import kill_if_stalled
from supervisors.surroundings import Surroundings

log = structlog.get_logger("penpay.supervision")


class Escalated(Exception):
    """A supervisor gave up: its children broke more often than its intensity allows."""


class Supervisor(AsyncioActor):
    """Generic: knows no actor of PenPay. Restarts run in the background, so that commands are always heard."""

    KIND = "supervisor"
    STALL_AFTER_S = float("inf")  # it may wait for its children's shutdowns, which have bounds of their own

    def __init__(self, spec: SupervisorSpec | DynamicSpec, surroundings: Surroundings) -> None:
        super().__init__()
        self._spec = spec
        self._surroundings = surroundings
        self._intensity = Intensity(spec.max_restarts, spec.within_s)
        specs: Sequence[AnySpec] = spec.children if isinstance(spec, SupervisorSpec) else ()
        self._children = {each.name: Child(each, surroundings) for each in specs}
        assert len(self._children) == len(specs), f"two children of {spec.name} share a name"
        self._ordered = isinstance(spec, SupervisorSpec) and spec.strategy != "one_for_one"
        self._in_order = False
        self._booting: set[Child] = set()
        self._commands: list[tuple[DeferredReply, list[Child]]] = []
        self._over = False

    @property
    def children(self) -> Mapping[str, Child]:
        """For the tree's description: read only."""
        return self._children

    # --- start and stop ---

    async def on_start(self) -> None:
        """Start the children one after the other, each when the one before is ready."""
        try:
            for child in self._children.values():
                await self._boot(child)
        except BaseException:
            await self._stop_children(list(self._children.values()))
            raise
        self.timers.every("stalls", self._surroundings.stall_check_s, CheckStalls())

    async def _boot(self, child: Child) -> None:
        """First start. A dependency that is away is waited for without end; anything else fails the whole start."""
        self._booting.add(child)
        try:
            while True:
                cell = self._launch(child)
                try:
                    async with asyncio.timeout(child.start_timeout_s):
                        await cell.ready()
                    break
                except TimeoutError as error:
                    await cell.shutdown(0)
                    child.last_failure = f"not ready within {child.start_timeout_s} s"
                    raise StartFailed(cell.address, error) from error
                except StartFailed as error:
                    child.last_failure = repr(error.cause)
                    if not isinstance(error.cause, Unavailable):
                        raise
                delay_s = child.backoff.next_delay_s()
                log.warning("start waits for a dependency", actor=cell.address, error=child.last_failure)
                child.phase = Phase.BACKOFF
                await asyncio.sleep(delay_s)
        finally:
            self._booting.discard(child)
        if cell.last_exit is not None and cell.state is State.WAITING:
            # It was ready and over in one breath: nobody was told, for it was still ours to start.
            child.phase = Phase.EXITED
            self._cell.control(ChildExited(child, cell.incarnation, cell.last_exit))

    async def on_stop(self) -> None:
        """Stop the children in reverse order."""
        await self._stop_children(list(self._children.values()))

    async def on_failure(self, *_: object) -> None:
        """A bug in the supervisor itself: its children must not outlive it."""
        await self._stop_children(list(self._children.values()))

    def on_incarnation_over(self) -> None:
        """Whatever is still there (we were killed) goes with us."""
        self._over = True
        for child in reversed(self._children.values()):
            cell = child.cell
            if cell is not None and cell.state is not State.ENDED:
                cell.kill()
                if cell.state is State.WAITING:
                    self._finish(child, Exit(exits.KILLED))

    async def _stop_children(self, children: Sequence[Child], *, keep: bool = False) -> None:
        """Stop these in reverse order. `keep`: for a restart in place, so reference and mailbox stay."""
        for child in reversed(children):
            self.timers.cancel(("start", child.name))
            cell = child.cell
            if cell is None:
                continue
            child.phase = Phase.STOPPING
            await cell.shutdown(child.shutdown_s)
            child.phase = Phase.STOPPED
            if not keep or child.spec.restart == "temporary":
                self._finish(child, cell.last_exit or Exit(exits.SHUTDOWN))
                child.phase = Phase.DONE if keep else Phase.STOPPED
            elif not child.keep_mailbox:
                cell.abandon_mailbox()

    def _finish(self, child: Child, ending: Exit) -> None:
        cell = child.cell
        if cell is not None:
            self._surroundings.registry.unbind(cell)
            cell.finish(ending)
            child.cell = None

    def _launch(self, child: Child) -> Cell:
        """Begin an incarnation of this child; `child_ready` or `child_exited` follows."""
        if child.cell is None:
            child.cell = child.new_cell(self, recipe_of(child.spec, self._surroundings), self._surroundings)
            self._surroundings.registry.bind(child.cell)
        child.phase = Phase.STARTING
        child.cell.launch()
        if child.start_timeout_s is not None and child not in self._booting:
            overdue = StartOverdue(child, child.cell.incarnation)
            self.timers.once(("overdue", child.name), child.start_timeout_s, overdue)
        return child.cell

    # --- the children's cells report: plain calls, outside of any handler ---

    def child_ready(self, cell: Cell) -> None:
        """A child's incarnation handles messages."""
        child = self._children.get(cell.name)
        if child is None or child.cell is not cell or self._over:
            return
        if child.phase is Phase.STARTING:
            child.phase = Phase.RUNNING
        if child not in self._booting:
            self._cell.control(ChildReady(child, cell.incarnation))

    def child_exited(self, cell: Cell, ending: Exit) -> None:
        """A child's incarnation is over. While we start or stop it ourselves, that code knows what to do."""
        child = self._children.get(cell.name)
        if child is None or child.cell is not cell or self._over:
            self._surroundings.registry.unbind(cell)
            cell.finish(ending)
        elif child.phase is not Phase.STOPPING and child not in self._booting:
            child.phase = Phase.EXITED
            self._cell.control(ChildExited(child, cell.incarnation, ending))

    # --- messages ---

    async def on_receive(self, message: Any) -> Any:
        """Children's news, timers, operators' commands."""
        match message:
            case ChildReady(child=child):
                if child.cell and child.cell.incarnation == message.incarnation:
                    self.timers.cancel(("overdue", child.name))
                self._advance()
            case ChildExited():
                await self._on_exit(message)
            case StartDue():
                if message.child.phase is Phase.BACKOFF:
                    message.child.phase = Phase.STOPPED
                self._advance()
            case StartOverdue(child=child):
                if child.cell and child.cell.incarnation == message.incarnation and child.phase is Phase.STARTING:
                    log.error("not ready in time", actor=child.cell.address, timeout_s=child.start_timeout_s)
                    child.cell.kill(exits.START_FAILED)
            case CheckStalls():
                self._check_stalls()
            case RestartChild() | StartChild():
                return await self._restart_child(message.name)
            case StopChild():
                return await self._stop_child(message.name)
            case _:
                return await super().on_receive(message)
        return None

    async def _on_exit(self, news: ChildExited) -> None:
        child, ending = news.child, news.ending
        cell = child.cell
        if cell is None or cell.incarnation != news.incarnation or child.phase is not Phase.EXITED:
            return
        self._record(child, cell, ending)
        if not child.restartable(ending):
            await self._on_end_for_good(child, ending)
            return
        waits = ending.reason == exits.START_FAILED and isinstance(ending.error, Unavailable)
        if not waits and self._intensity.exceeded(cell.loop.time()):
            await self._give_up(child, ending)
        child.restarts += 1
        self._surroundings.system.observer.restarted(self.address, ending.reason)
        if not child.keep_mailbox:
            cell.abandon_mailbox()
        # Nobody but this child is due before its back-off is over: `_advance` passes no one that waits.
        child.phase = Phase.BACKOFF
        await self._stop_children([each for each in self._affected(child) if each is not child], keep=True)
        cell.refusing = False  # whoever asks from now on waits for the next incarnation
        healthy_s = cell.loop.time() - cell.ready_at_s if ending.reason != exits.START_FAILED else 0.0
        delay_s = child.backoff.next_delay_s(healthy_s=healthy_s)
        self.timers.once(("start", child.name), delay_s, StartDue(child))

    def _record(self, child: Child, cell: Cell, ending: Exit) -> None:
        if ending.clean:
            log.info("actor ended", actor=cell.address, reason=ending.reason)
            return
        child.last_failure = str(ending)
        log.error(
            "actor broke", actor=cell.address, crash_id=cell.crash_id, reason=ending.reason, error=repr(ending.error)
        )

    async def _on_end_for_good(self, child: Child, ending: Exit) -> None:
        self._finish(child, ending)
        child.phase = Phase.DONE
        if child.spec.significant:
            await self._stop_children(list(self._children.values()))
            self.exit(ending.reason if ending.clean else exits.SHUTDOWN)
        else:
            self._advance()

    async def _give_up(self, child: Child, ending: Exit) -> None:
        sentence = f"{self.address or 'penpay'}: {child.name} broke too often ({ending})"
        log.critical("supervisor gives up", supervisor=self.address or "penpay", child=child.name, last=str(ending))
        self._surroundings.system.observer.escalated(self.address)
        await self._stop_children(list(self._children.values()))
        raise Escalated(sentence) from ending.error

    def _affected(self, child: Child) -> list[Child]:
        """Who restarts with this child, in start order."""
        everyone = list(self._children.values())
        strategy = self._spec.strategy if isinstance(self._spec, SupervisorSpec) else "one_for_one"
        match strategy:
            case "one_for_one":
                return [child]
            case "one_for_all":
                return [each for each in everyone if each.phase not in (Phase.DONE, Phase.HELD) or each is child]
            case "rest_for_one":
                later = everyone[everyone.index(child) :]
                return [each for each in later if each.phase not in (Phase.DONE, Phase.HELD) or each is child]

    def _advance(self) -> None:
        """Start what may be started: everybody, or where order matters the first that is not ready yet."""
        for child in self._children.values():
            if child.phase in (Phase.RUNNING, Phase.DONE):
                continue
            if child.phase is Phase.STOPPED:
                self._launch(child)
            if self._ordered or self._in_order:
                break
        else:
            self._in_order = False
        self._answer_commands()

    def _check_stalls(self) -> None:
        for child in self._children.values():
            if child.cell is not None:
                kill_if_stalled(child.cell)

    # --- operators ---

    async def _restart_child(self, name: str) -> Any:
        reply = self.defer()
        everyone = list(self._children.values())
        child = self._children.get(name)
        if child is None and name:
            reply.fail(NoSuchActor(f"{self.address}/{name}"))
            return DEFER
        held = self._held_before(child) if child is not None else None
        if held is not None:
            reply.fail(Unavailable(f"{self.address}/{held.name} was stopped by a person and comes before {name}"))
            return DEFER
        affected = self._affected(child) if child is not None else everyone
        self._in_order = self._in_order or child is None
        await self._stop_children(affected, keep=True)
        for each in affected:
            each.phase = Phase.STOPPED
            each.restarts += 1
            self._surroundings.system.observer.restarted(self.address, exits.ORDERED)
            each.backoff.reset()
        self._commands.append((reply, affected))
        self._advance()
        return DEFER

    async def _stop_child(self, name: str) -> Any:
        child = self._children.get(name)
        if child is None:
            reply = self.defer()
            reply.fail(NoSuchActor(f"{self.address}/{name}"))
            return DEFER
        await self._stop_children(self._affected(child))
        child.phase = Phase.HELD
        self._advance()
        return None

    def _answer_commands(self) -> None:
        for command in list(self._commands):
            reply, affected = command
            if all(self._is_settled(child) for child in affected) or not reply.open:
                reply.set(None)
                self._commands.remove(command)

    def _is_settled(self, child: Child) -> bool:
        """Whether waiting changes nothing: it runs, or is away until a person says otherwise."""
        return child.phase in (Phase.RUNNING, Phase.DONE, Phase.HELD) or self._held_before(child) is not None

    def _held_before(self, child: Child) -> Child | None:
        """Where order matters nobody starts behind one that a person stopped."""
        everyone = list(self._children.values())
        before = everyone[: everyone.index(child)] if self._ordered else []
        return next((each for each in before if each.phase is Phase.HELD), None)

    def observable_state(self) -> Mapping[str, object]:
        """Children by phase."""
        return {name: child.phase.value for name, child in self._children.items()}


def recipe_of(spec: AnySpec, surroundings: Surroundings) -> Recipe:
    """How an incarnation of this specification is made."""
    from supervisors.dynamic import DynamicSupervisor  # noqa: PLC0415 - both are supervisors, and each may hold the other
    from supervisors.entity_host import EntityHost  # noqa: PLC0415 - as above

    def blueprint(_: str) -> Blueprint:
        match spec:
            case ChildSpec():
                return spec.factory()
            case SupervisorSpec():
                return Supervisor, (spec, surroundings)
            case DynamicSpec():
                return DynamicSupervisor, (spec, surroundings)
            case EntityHostSpec():
                return EntityHost, (spec, surroundings)

    return blueprint
