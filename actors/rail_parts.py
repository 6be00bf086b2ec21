"""What every sender of a rail works with, and its bounds and times."""

from dataclasses import dataclass, field

from actors.rail_call import CallObserver, nobody_observes
from actors.rail_lease import LeaseHolder
from penpay.domain.board import Board
from penpay.ports import Addresses, AttemptStore, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """Bounds and times of one rail's sender."""

    queue_max: int = 10_000
    in_flight_max: int = 64
    sweep_every_s: float = 5.0
    sweep_older_than_s: float = 2.0
    sweep_page: int = 200
    restart_wait_s: float = 10.0
    backoff_max_s: float = 5.0
    first_byte_s: float = 5.0
    """From the wish for an attempt's row to the call's beginning; what stood still for longer is not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderParts:
    """What every rail's sender works with."""

    lease: LeaseHolder
    attempts: AttemptStore
    addresses: Addresses
    clock: Clock
    board: Board
    settings: SenderSettings = field(default_factory=SenderSettings)
    observe: CallObserver = nobody_observes
