"""The host of entities: starts them on demand, restarts, parks and passivates them, each on its own account."""

import asyncio
from collections import deque
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

import structlog

from actors.base import (
    DEFER,
    AsyncioActor,
    Cell,
    EntityActor,
    EntityParked,
    Exit,
    MailboxFull,
    NoSuchActor,
    State,
    Unavailable,
    exits,
)
from supervisors.child import RestartChild, StartChild, StopChild
from supervisors.entity_news import Park, Probe, ProbeHeld, Sweep, Trouble
from supervisors.specs import EntityHostSpec
from supervisors.storm import StormGuard
from supervisors.supervisor import kill_if_stalled
from supervisors.surroundings import Surroundings

log = structlog.get_logger("penpay.supervision")

PARK_RETRY_S = 5.0
EVICT_LOOKS = 64
"""How many of the longest living entities are looked at for an idle one when the host is full."""


class EntityHost(AsyncioActor):
    """Entities live in its dictionary. Reaching one is a plain call, not a message: the host is no bottleneck.

    Intensity is counted per entity: one poisoned saga is parked alone, and a dependency's blip among thousands is a
    storm to wait out, not a reason to give up.
    """

    KIND = "entity host"
    STALL_AFTER_S = float("inf")  # it waits for entities to stop, and for whoever writes a parking down

    def __init__(self, spec: EntityHostSpec, surroundings: Surroundings) -> None:
        super().__init__()
        self._spec = spec
        self._surroundings = surroundings
        self._entities: dict[str, Cell] = {}
        self._troubles: dict[str, Trouble] = {}
        self._parked: dict[str, BaseException] = {}
        self._recovering: set[Cell] = set()
        self._queued: deque[Cell] = deque()
        self._guard = StormGuard(spec.storm)
        self._probe: Cell | None = None
        self._storming = False
        self._storm_delay_s = spec.storm.base_s
        self._closing = False
        self._pumping = False
        self._commanded: dict[str, RestartChild | StartChild | StopChild] = {}
        self._entity_class: type[Any] | None = None

    @property
    def entities(self) -> Mapping[str, Cell]:
        """For the tree's description: read only."""
        return self._entities

    @property
    def parked(self) -> Mapping[str, BaseException]:
        """Entities that gave up, with what they broke on."""
        return self._parked

    def trouble(self, entity_id: str) -> Trouble | None:
        """Crash history, for the tree's description."""
        return self._troubles.get(entity_id)

    async def on_start(self) -> None:
        """Take the address: from now on messages start entities."""
        self.timers.every("sweep", self._spec.sweep_s, Sweep())
        self._surroundings.registry.open_host(self.address, self)

    # --- activation ---

    def reach(self, entity_id: str) -> Cell:
        """The entity's cell; started now if it was not there. Raises `MailboxFull`, `EntityParked`, `NoSuchActor`."""
        cell = self._entities.get(entity_id)
        if cell is not None:
            return cell
        address = f"{self.address}/{entity_id}"
        if entity_id in self._parked:
            raise EntityParked(address)
        if self._closing:
            raise NoSuchActor(address)
        if len(self._entities) >= self._spec.max_children and not self._evict():
            raise MailboxFull(self.address, self._spec.max_children)
        return self._activate(entity_id)

    def _activate(self, entity_id: str) -> Cell:
        recipe = partial(self._spec.factory, entity_id)
        if self._entity_class is None:
            self._entity_class = recipe()[0]
        cell = Cell(
            self._entity_class,
            system=self._surroundings.system,
            loop=self._cell.loop,
            recipe=recipe,
            owner=self,
            name=entity_id,
        )
        self._entities[entity_id] = cell
        self._queue_start(cell)
        return cell

    def _queue_start(self, cell: Cell) -> None:
        """Start now, or when a place among the recovering is free: their reads must not drown the database."""
        if not cell.actor_class.STARTS and not self._storming:
            cell.launch()
            return
        self._queued.append(cell)
        self._pump()

    def _pump(self) -> None:
        if self._pumping:
            return  # an entity without `on_start` is ready inside of `launch`, and so on for each of them
        self._pumping = True
        try:
            self._pump_all()
        finally:
            self._pumping = False

    def _pump_all(self) -> None:
        while self._queued and not self._storming and len(self._recovering) < self._spec.recovery_limit:
            cell = self._queued.popleft()
            if self._entities.get(cell.name) is cell and cell.state in (State.NEW, State.WAITING):
                self._recovering.add(cell)
                cell.launch()

    def _evict(self) -> bool:
        oldest = islice(self._entities.values(), EVICT_LOOKS)
        idle = next((cell for cell in oldest if self._removable(cell)), None)
        if idle is not None:
            idle.passivate()
        return len(self._entities) < self._spec.max_children

    # --- the entities' cells report: plain calls, outside of any handler ---

    def child_ready(self, cell: Cell) -> None:
        """An entity's incarnation handles messages."""
        self._recovering.discard(cell)
        if cell is self._probe:
            self.timers.once("storm", self._spec.storm.probe_s, ProbeHeld(cell, cell.incarnation))
        self._pump()

    def child_exited(self, cell: Cell, ending: Exit) -> None:
        """An entity's incarnation is over: start it again, let it go, or park it."""
        self._recovering.discard(cell)
        if cell is self._probe:
            self._probe = None
            if ending.clean:
                self._end_storm()
            elif not self._closing:
                self._plan_probe()
        command = self._commanded.pop(cell.name, None)
        if self._closing or self._entities.get(cell.name) is not cell:
            cell.finish(ending)
        elif isinstance(command, StopChild):
            self._forget(cell, ending)
        elif command is not None:
            self._troubles.pop(cell.name, None)
            self._queue_start(cell)
        elif self._spec.restart_entities == "temporary" or not (ending.abnormal or self._wanted_again(cell, ending)):
            self._forget(cell, ending)
        elif not ending.abnormal:
            self._queue_start(cell)  # a message slipped in while it was ending: next incarnation, same mailbox
        else:
            self._broke(cell, ending)
        self._pump()

    def _wanted_again(self, cell: Cell, ending: Exit) -> bool:
        return bool(len(cell.mailbox)) or self._spec.restart_entities == "permanent" or not ending.clean

    def _forget(self, cell: Cell, ending: Exit) -> None:
        del self._entities[cell.name]
        self._troubles.pop(cell.name, None)
        cell.finish(ending)
        if ending.reason == exits.PASSIVATED:
            self._surroundings.system.observer.passivated(cell.actor_class.KIND)

    def _broke(self, cell: Cell, ending: Exit) -> None:
        now_s = cell.loop.time()
        trouble = self._troubles.get(cell.name)
        if trouble is None:
            trouble = self._troubles[cell.name] = Trouble(self._spec, self._surroundings)
        trouble.last_failure = str(ending)
        error: BaseException = ending.error or RuntimeError(ending.reason)
        if ending.reason == exits.START_FAILED and isinstance(error, Unavailable):
            if not len(cell.mailbox):
                self._forget(cell, ending)  # nobody waits for it; its rows will bring it back
                return
        else:
            log.error(
                "entity broke", actor=cell.address, crash_id=cell.crash_id, reason=ending.reason, error=repr(error)
            )
            if not self._storming and trouble.intensity.exceeded(now_s):
                self._give_up(cell, error)
                return
            if self._guard.crashed(type(error), now_s=now_s, active=len(self._entities)) and not self._storming:
                self._begin_storm(error)
        trouble.restarts += 1
        self._surroundings.system.observer.restarted(self.address, ending.reason)
        if self._storming:
            self._queued.append(cell)
            return
        healthy_s = now_s - cell.ready_at_s if ending.reason != exits.START_FAILED else 0.0
        delay_s = trouble.backoff.next_delay_s(healthy_s=healthy_s)
        trouble.timer = cell.loop.call_later(delay_s, self._restart, cell)

    def _restart(self, cell: Cell) -> None:
        if self._entities.get(cell.name) is cell and cell.state is State.WAITING and not self._closing:
            self._queue_start(cell)

    def _give_up(self, cell: Cell, error: BaseException) -> None:
        address = cell.address
        del self._entities[cell.name]
        self._troubles.pop(cell.name, None)
        self._parked[cell.name] = error
        cell.finish(cell.last_exit or Exit(exits.KILLED), refusal=EntityParked(address), reason="parked")
        self._surroundings.system.observer.parked(cell.actor_class.KIND)
        log.critical("entity parked", actor=address, error=repr(error))
        self._cell.control(Park(cell.name, error))

    # --- storm ---

    def _begin_storm(self, error: BaseException) -> None:
        self._storming = True
        self._storm_delay_s = self._spec.storm.base_s
        log.critical("storm: restarts are held back", host=self.address, error=repr(error), active=len(self._entities))
        for trouble in self._troubles.values():
            if trouble.timer is not None:
                trouble.timer.cancel()
                trouble.timer = None
        held = [cell for cell in self._entities.values() if cell.state is State.WAITING and cell not in self._queued]
        self._queued.extend(held)
        self.timers.once("storm", self._storm_delay_s, Probe())

    def _plan_probe(self) -> None:
        self._storm_delay_s = min(self._spec.storm.cap_s, 2 * self._storm_delay_s)
        self.timers.once("storm", self._storm_delay_s, Probe())

    def _send_probe(self) -> None:
        while self._queued:
            cell = self._queued.popleft()
            if self._entities.get(cell.name) is cell and cell.state in (State.NEW, State.WAITING):
                self._probe = cell
                cell.launch()
                return
        self._end_storm()

    def _end_storm(self) -> None:
        self._storming = False
        self._probe = None
        self.timers.cancel("storm")
        self._guard.clear()
        log.warning("storm is over", host=self.address, waiting=len(self._queued))
        self._pump()

    # --- messages ---

    async def on_receive(self, message: Any) -> Any:
        """Timers, parkings to be written down, operators' commands."""
        match message:
            case Sweep():
                self._sweep()
            case Park():
                await self._write_down(message)
            case Probe():
                self._send_probe()
            case ProbeHeld(cell=cell):
                if cell.state is State.RUNNING and cell.incarnation == message.incarnation:
                    self._end_storm()
            case RestartChild() | StartChild() | StopChild():
                return await self._command(message)
            case _:
                return await super().on_receive(message)
        return None

    async def _write_down(self, park: Park) -> None:
        if self._spec.on_parked is None:
            return
        try:
            await self._spec.on_parked(park.entity_id, park.error)
        except Exception as error:  # noqa: BLE001 - boundary: a parking that cannot be written must not end thousands of others
            log.warning("parking is not written yet", host=self.address, entity=park.entity_id, error=repr(error))
            self.timers.once(("park", park.entity_id), PARK_RETRY_S, park)

    async def _command(self, command: RestartChild | StartChild | StopChild) -> Any:
        entity_id = command.name
        cell = self._entities.get(entity_id)
        if cell is None and entity_id not in self._parked:
            self.defer().fail(NoSuchActor(f"{self.address}/{entity_id}"))
            return DEFER
        self._parked.pop(entity_id, None)
        if cell is not None and cell.state in (State.STARTING, State.RUNNING):
            # It stays in the dictionary meanwhile: nobody may start a second one beside it.
            self._commanded[entity_id] = command
            await cell.shutdown(self._spec.shutdown_s)
        elif cell is not None and cell.state is State.WAITING:
            self._restart(cell)
        if isinstance(command, StopChild):
            return None
        reply = self.defer()
        self.spawn(_answer_when_ready(self.reach(entity_id), reply), name=f"start {entity_id}")
        return DEFER

    # --- idle entities ---

    def _sweep(self) -> None:
        now_s = self._cell.loop.time()
        for cell in list(self._entities.values()):
            if cell.busy_since_s is not None:
                kill_if_stalled(cell)
            elif now_s - cell.last_active_s >= cell.actor_class.IDLE_S and self._removable(cell):
                cell.passivate()

    def _removable(self, cell: Cell) -> bool:
        actor = cell.actor
        return cell.idle and cell.holds_nothing and isinstance(actor, EntityActor) and actor.can_passivate()

    # --- end ---

    async def on_stop(self) -> None:
        """Stop all entities side by side."""
        self._closing = True
        self._surroundings.registry.close_host(self.address, self)
        cells = list(self._entities.values())
        await asyncio.gather(*(cell.shutdown(self._spec.shutdown_s) for cell in cells))

    async def on_failure(self, *_: object) -> None:
        """A bug in the host itself: entities must not outlive it."""
        await self.on_stop()

    def on_incarnation_over(self) -> None:
        """Whatever is still there goes with us."""
        self._closing = True
        self._surroundings.registry.close_host(self.address, self)
        for cell in self._entities.values():
            if cell.state is not State.ENDED:
                cell.kill()
            if cell.state in (State.NEW, State.WAITING):
                cell.finish(cell.last_exit or Exit(exits.SHUTDOWN))

    def observable_state(self) -> Mapping[str, object]:
        """Counts; the entities themselves are in the tree."""
        return {
            "active": len(self._entities),
            "recovering": len(self._recovering),
            "queued": len(self._queued),
            "parked": len(self._parked),
            "storm": self._storming,
        }


async def _answer_when_ready(cell: Cell, reply: Any) -> None:
    try:
        await cell.ready()
    except Exception as error:  # noqa: BLE001 - boundary: whatever kept it from starting is the operator's answer
        reply.fail(error)
    else:
        reply.set(None)
