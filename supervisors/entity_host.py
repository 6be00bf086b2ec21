"""The host of entities: starts them on demand, restarts, parks and passivates them, each on its own account."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import structlog

from actors.base import (
    DEFER,
    AsyncioActor,
    Cell,
    EntityActor,
    EntityHeld,
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
from supervisors.recoveries import Recoveries
from supervisors.specs import EntityHostSpec
from supervisors.stalls import kill_if_stalled
from supervisors.storm import Storm
from supervisors.surroundings import Surroundings

log = structlog.get_logger("penpay.supervision")

PARK_RETRY_S = 5.0
EVICT_LOOKS = 1024
"""How many entities are looked at for an idle one when the host is full, those first that were reached longest ago."""


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
        self._entities: OrderedDict[str, Cell] = OrderedDict()
        """In the order in which they were last reached."""
        self._troubles: dict[str, Trouble] = {}
        self._parked: dict[str, BaseException] = {}
        self._held: set[str] = set()
        self._recoveries = Recoveries(
            spec.recovery_limit,
            spec.start_timeout_s,
            lambda cell: self._entities.get(cell.name) is cell and not self._closing,
        )
        self._storm = Storm(spec.storm, self._recoveries, self.timers, host=self.address)
        self._closing = False
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

    @property
    def held(self) -> AbstractSet[str]:
        """Entities that a person stopped."""
        return self._held

    def trouble(self, entity_id: str) -> Trouble | None:
        """Crash history, for the tree's description."""
        return self._troubles.get(entity_id)

    async def on_start(self) -> None:
        """Take the address: from now on messages start entities."""
        self.timers.every("sweep", self._spec.sweep_s, Sweep())
        self._surroundings.registry.open_host(self.address, self)

    # --- activation ---

    def reach(self, entity_id: str) -> Cell:
        """The entity's cell; started now if it was not there.

        Raises `MailboxFull` when the host is full, `EntityParked`, `EntityHeld`, `NoSuchActor`.
        """
        cell = self._entities.get(entity_id)
        if cell is not None:
            self._entities.move_to_end(entity_id)
            if cell.state is State.WAITING:
                self._try_at_once(cell)
            return cell
        if entity_id in self._parked:
            raise EntityParked(self._address_of(entity_id))
        if self._closing:
            raise NoSuchActor(self._address_of(entity_id))
        if entity_id in self._held:
            raise EntityHeld(self._address_of(entity_id))
        if len(self._entities) >= self._spec.max_children and not self._evict():
            raise MailboxFull(self.address, self._spec.max_children)
        return self._activate(entity_id)

    def free(self, entity_id: str) -> Cell:
        """As `reach`, and one that was parked runs again: people have decided about it."""
        self._parked.pop(entity_id, None)
        return self.reach(entity_id)

    def _activate(self, entity_id: str) -> Cell:
        if self._entity_class is None:
            self._entity_class = self._spec.factory(entity_id)[0]
        cell = Cell(
            self._entity_class,
            system=self._surroundings.system,
            loop=self._cell.loop,
            recipe=self._spec.factory,
            owner=self,
            name=entity_id,
        )
        self._entities[entity_id] = cell
        self._queue_start(cell)
        return cell

    def _address_of(self, entity_id: str) -> str:
        return f"{self.address}/{entity_id}"

    def _queue_start(self, cell: Cell) -> None:
        """Start now if that reads nothing, else when a place among the recovering is free."""
        if cell.actor_class.STARTS or self._recoveries.held:
            self._recoveries.queue(cell)
        else:
            cell.launch()

    def _try_at_once(self, cell: Cell) -> None:
        """Whoever waits for a dependency only, does not wait when it is sent something: that may be back."""
        trouble = self._troubles.get(cell.name)
        if trouble is not None and trouble.away and trouble.timer is not None:
            self._restart(cell)

    def _evict(self) -> bool:
        """Put away the one that was reached longest ago and has nothing to do. False when the host stays full."""
        for _ in range(min(EVICT_LOOKS, len(self._entities))):
            cell = next(iter(self._entities.values()))
            if self._removable(cell):
                cell.passivate()
                break
            self._entities.move_to_end(cell.name)  # it is at work: that is as good as reached
        return len(self._entities) < self._spec.max_children

    # --- the entities' cells report: plain calls, outside of any handler ---

    def child_ready(self, cell: Cell) -> None:
        """An entity's incarnation handles messages."""
        self._recoveries.ended(cell)
        self._storm.ready(cell)
        self._recoveries.pump()

    def child_exited(self, cell: Cell, ending: Exit) -> None:
        """An entity's incarnation is over: start it again, let it go, or park it."""
        self._recoveries.ended(cell)
        self._storm.ended(cell, ending)
        command = self._commanded.pop(cell.name, None)
        if self._closing or self._entities.get(cell.name) is not cell:
            cell.finish(ending)
        elif isinstance(command, StopChild):
            self._forget(cell, ending)
        elif command is not None:
            self._forgive(cell.name)
            self._queue_start(cell)
        elif self._spec.restart_entities == "temporary" or not (ending.abnormal or self._wanted_again(cell, ending)):
            self._forget(cell, ending)
        elif not ending.abnormal:
            self._queue_start(cell)  # a message slipped in while it was ending: next incarnation, same mailbox
        else:
            self._broke(cell, ending)
        self._recoveries.pump()

    def _wanted_again(self, cell: Cell, ending: Exit) -> bool:
        return bool(len(cell.mailbox)) or self._spec.restart_entities == "permanent" or not ending.clean

    def _forget(self, cell: Cell, ending: Exit) -> None:
        del self._entities[cell.name]
        trouble = self._troubles.get(cell.name)
        if trouble is not None:
            trouble.cancel()  # its crashes go on counting, but this cell is started by no clock any more
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
        trouble.away = ending.reason == exits.START_FAILED and isinstance(error, Unavailable)
        if trouble.away:
            cell.refuse_askers(error)
            if not len(cell.mailbox):
                self._forget(cell, ending)  # nobody waits for it; its rows will bring it back
                return
        else:
            trouble.last_crash_s = now_s
            log.error(
                "entity broke", actor=cell.address, crash_id=cell.crash_id, reason=ending.reason, error=repr(error)
            )
            exceeded = not self._recoveries.held and trouble.intensity.exceeded(now_s)
            if exceeded or isinstance(error, self._spec.hopeless):
                self._give_up(cell, error)
                return
            if self._storm.begins(error, now_s=now_s, active=len(self._entities)):
                self._hold_back()
        trouble.restarts += 1
        self._surroundings.system.observer.restarted(self.address, ending.reason)
        if self._recoveries.held:
            self._recoveries.queue(cell)
            return
        healthy_s = now_s - cell.ready_at_s if ending.reason != exits.START_FAILED else 0.0
        delay_s = trouble.backoff.next_delay_s(healthy_s=healthy_s)
        trouble.timer = cell.loop.call_later(delay_s, self._restart, cell)

    def _restart(self, cell: Cell) -> None:
        trouble = self._troubles.get(cell.name)
        if trouble is not None:
            trouble.cancel()
        if self._entities.get(cell.name) is cell and cell.state is State.WAITING and not self._closing:
            self._queue_start(cell)

    def _give_up(self, cell: Cell, error: BaseException) -> None:
        address = cell.address
        del self._entities[cell.name]
        self._forgive(cell.name)
        # With its traceback it would hold everything that the dead incarnation knew, for as long as it stays parked.
        self._parked[cell.name] = error.with_traceback(None)
        cell.finish(cell.last_exit or Exit(exits.KILLED), refusal=EntityParked(address), reason="parked")
        self._surroundings.system.observer.parked(cell.actor_class.KIND)
        log.critical("entity parked", actor=address, error=repr(error))
        self._cell.control(Park(cell.name, error))

    def _hold_back(self) -> None:
        """Whoever waits for the clock waits for the end of the storm now."""
        for trouble in self._troubles.values():
            trouble.cancel()
        for cell in self._entities.values():
            if cell.state is State.WAITING and cell not in self._recoveries:
                self._recoveries.queue(cell)

    def _forgive(self, entity_id: str) -> None:
        trouble = self._troubles.pop(entity_id, None)
        if trouble is not None:
            trouble.cancel()

    # --- messages ---

    async def on_receive(self, message: Any) -> Any:
        """Timers, parkings to be written down, operators' commands."""
        match message:
            case Sweep():
                self._sweep()
            case Park():
                await self._write_down(message)
            case Probe():
                self._storm.send_probe()
            case ProbeHeld():
                self._storm.held(message)
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
        stopping = isinstance(command, StopChild)
        if stopping and entity_id not in self._parked:  # a parked one stands already, and only a start frees it
            self._held.add(entity_id)
        if not stopping and cell is None and entity_id not in self._parked and entity_id not in self._held:
            self.defer().fail(NoSuchActor(self._address_of(entity_id)))
            return DEFER
        if cell is not None and cell.state in (State.STARTING, State.RUNNING):
            # It stays in the dictionary meanwhile: nobody may start a second one beside it.
            self._commanded[entity_id] = command
            await cell.shutdown(self._spec.shutdown_s)
        elif cell is not None and stopping:
            self._forget(cell, cell.last_exit or Exit(exits.SHUTDOWN))
        elif cell is not None and cell.state is State.WAITING:
            self._restart(cell)
        if stopping:
            return None
        self._parked.pop(entity_id, None)
        self._held.discard(entity_id)
        reply = self.defer()
        self.spawn(_answer_when_ready(self.reach(entity_id), reply), name=f"start {entity_id}")
        return DEFER

    # --- idle entities ---

    def _sweep(self) -> None:
        now_s = self._cell.loop.time()
        self._recoveries.kill_overdue(now_s)
        self._forget_old_troubles(now_s)
        for cell in list(self._entities.values()):
            if cell.busy_since_s is not None:
                kill_if_stalled(cell)
            elif now_s - cell.last_active_s >= cell.actor_class.IDLE_S and self._removable(cell):
                cell.passivate()

    def _forget_old_troubles(self, now_s: float) -> None:
        """A crash counts for as long as the window says, also while its entity is out of memory."""
        for entity_id, trouble in list(self._troubles.items()):
            if entity_id not in self._entities and now_s - trouble.last_crash_s > self._spec.within_s:
                self._forgive(entity_id)

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
            "recovering": self._recoveries.running,
            "queued": self._recoveries.waiting,
            "parked": len(self._parked),
            "storm": self._recoveries.held,
        }


async def _answer_when_ready(cell: Cell, reply: Any) -> None:
    try:
        await cell.ready()
    except Exception as error:  # noqa: BLE001 - boundary: whatever kept it from starting is the operator's answer
        reply.fail(error)
    else:
        reply.set(None)
