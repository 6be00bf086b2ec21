"""One child as its supervisor sees it, and the messages that move it."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from actors.base import Cell, Exit, Recipe
from supervisors.backoff import Backoff
from supervisors.specs import AnySpec, ChildSpec, DynamicSpec, EntityHostSpec, SupervisorSpec
from supervisors.surroundings import Surroundings

if TYPE_CHECKING:
    from actors.base import Owner


class Phase(Enum):
    """Where a child is.

    `exited`: it broke and the supervisor has yet to decide. `backoff`: a timer will start it. `done`: it ended as its
    policy allows. `held`: a person stopped it.
    """

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    EXITED = "exited"
    DONE = "done"
    HELD = "held"


class Child:
    """A specification with its cell, its phase and its history."""

    __slots__ = ("backoff", "cell", "last_failure", "phase", "restarts", "spec")

    def __init__(self, spec: AnySpec, surroundings: Surroundings) -> None:
        self.spec = spec
        self.backoff = Backoff(spec.backoff, surroundings.randomness)
        self.cell: Cell | None = None
        self.phase = Phase.STOPPED
        self.restarts = 0
        self.last_failure: str | None = None

    @property
    def name(self) -> str:
        """Last part of its address."""
        return self.spec.name

    @property
    def shutdown_s(self) -> float | None:
        """None for supervisors: their children have time-outs of their own."""
        return self.spec.shutdown_s if isinstance(self.spec, ChildSpec | EntityHostSpec) else None

    @property
    def start_timeout_s(self) -> float | None:
        """None for supervisors, as with `shutdown_s`."""
        return self.spec.start_timeout_s if isinstance(self.spec, ChildSpec) else None

    @property
    def keep_mailbox(self) -> bool:
        """Supervisors' mailboxes hold operators' commands: kept."""
        return self.spec.keep_mailbox if isinstance(self.spec, ChildSpec) else True

    def restartable(self, ending: Exit) -> bool:
        """What its policy says about this end."""
        return self.spec.restart == "permanent" or (self.spec.restart == "transient" and not ending.clean)

    def new_cell(self, owner: "Owner", recipe: Recipe, surroundings: Surroundings) -> Cell:
        """A fresh mailbox and reference; the earlier cell of this child has ended."""
        first = [recipe(self.name)]  # its class shapes the mailbox; the first incarnation is made of the same answer
        return Cell(
            first[0][0],
            system=surroundings.system,
            loop=asyncio.get_running_loop(),
            recipe=lambda name: first.pop() if first else recipe(name),
            owner=owner,
            name=self.name,
            mailbox_max=self.spec.mailbox_max if isinstance(self.spec, ChildSpec) else None,
        )


def kind_of(spec: AnySpec) -> str:
    """What the tree shows for children that are not plain actors."""
    match spec:
        case SupervisorSpec():
            return "supervisor"
        case DynamicSpec():
            return "dynamic supervisor"
        case EntityHostSpec():
            return "entity host"
        case ChildSpec():
            return "actor"


@dataclass(frozen=True, slots=True)
class ChildReady:
    """From the cell: this incarnation handles messages."""

    child: Child
    incarnation: int


@dataclass(frozen=True, slots=True)
class ChildExited:
    """From the cell: this incarnation is over."""

    child: Child
    incarnation: int
    ending: Exit


@dataclass(frozen=True, slots=True)
class StartDue:
    """Timer: the back-off of this child is over."""

    child: Child


@dataclass(frozen=True, slots=True)
class StartOverdue:
    """Timer: this incarnation should have been ready by now."""

    child: Child
    incarnation: int


@dataclass(frozen=True, slots=True)
class CheckStalls:
    """Timer: look for children that are stuck in one message."""


@dataclass(frozen=True, slots=True)
class RestartChild:
    """From an operator: stop and start it, with those that depend on it. Empty name: all. Reply: None, when ready."""

    name: str


@dataclass(frozen=True, slots=True)
class StopChild:
    """From an operator: stop it, with those that depend on it, until `StartChild`. Reply: None."""

    name: str


@dataclass(frozen=True, slots=True)
class StartChild:
    """From an operator: start it again. Reply: None, when ready."""

    name: str
