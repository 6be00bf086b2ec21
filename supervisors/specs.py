"""The tree as data. OTP's words and meaning: a specification says what to start, when to restart it, how to stop it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from actors.base import Blueprint

RestartPolicy = Literal["permanent", "transient", "temporary"]
"""Always · unless it ended cleanly (`normal`, `shutdown`, `passivated`, `lease_lost`) · never."""
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Delay before the n-th restart in a row: random(0.5…1) × min(cap, base × 2ⁿ). `reset_after_s` healthy: n = 0."""

    base_s: float = 0.1
    cap_s: float = 30.0
    reset_after_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One actor. `factory` answers the class and the constructor arguments of an incarnation.

    The arguments are a sequence, or a mapping of names.

    `significant`: when it ends cleanly and is not restarted (make it `transient`), its supervisor ends too, with the
    same reason; a lost lease takes its shard along that way. `keep_mailbox=False`: what waited when it crashed is not
    for the next incarnation; askers get the class's `on_abandoned`. `shutdown_s` 0 kills, None waits without end.
    """

    name: str
    factory: Callable[[], Blueprint]
    restart: RestartPolicy = "permanent"
    shutdown_s: float | None = 5.0
    start_timeout_s: float | None = 30.0
    significant: bool = False
    mailbox_max: int | None = None
    keep_mailbox: bool = True
    backoff: BackoffPolicy = BackoffPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """Children under one strategy. More than `max_restarts` within `within_s`: it gives up, and its parent decides.

    The rates of nested supervisors multiply: never copy the same numbers to every level.
    """

    name: str
    strategy: Strategy
    children: "Sequence[AnySpec]"
    max_restarts: int = 5
    within_s: float = 60.0
    backoff: BackoffPolicy = BackoffPolicy()
    restart: RestartPolicy = "permanent"
    significant: bool = False


@dataclass(frozen=True, slots=True)
class StormPolicy:
    """When crashes look like one cause: more than `crashes` within `within_s`, or `share` of the living of one class.

    Then nothing is restarted until one probe has lived for `probe_s`; probes back off from `base_s` to `cap_s`.
    """

    crashes: int = 50
    within_s: float = 10.0
    share: float = 0.1
    share_min: int = 10
    """The share says nothing about a handful of entities."""
    base_s: float = 1.0
    cap_s: float = 30.0
    probe_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityHostSpec:
    """Entities started on demand, by the last part of their address; `factory(entity_id)` is like `ChildSpec.factory`.

    Crash number `crashes_max` of one entity within `within_s` parks that entity: `on_parked(entity_id, error)` is
    awaited once (again while it raises), its messages are dead letters, its askers get `EntityParked`. After a
    `hopeless` error the first crash does so: the next incarnation would meet the same.
    """

    name: str
    factory: Callable[[str], Blueprint]
    on_parked: Callable[[str, BaseException], Awaitable[None]] | None = None
    restart_entities: RestartPolicy = "transient"
    max_children: int = 50_000
    recovery_limit: int = 50
    """Starts that have an `on_start` to do, at once."""
    start_timeout_s: float = 30.0
    """A start that takes longer is broken off by the next sweep."""
    crashes_max: int = 5
    within_s: float = 60.0
    hopeless: tuple[type[Exception], ...] = ()
    sweep_s: float = 15.0
    """How often idle, stuck and overdue entities are looked for."""
    storm: StormPolicy = StormPolicy()
    backoff: BackoffPolicy = BackoffPolicy()
    restart: RestartPolicy = "permanent"
    shutdown_s: float | None = 10.0
    significant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicSpec:
    """Children = what `plan()` answers, asked at the start and every `replan_s`.

    New names are started, names that are gone are stopped. A child that ends without a crash is removed and comes back
    when a later plan names it. `Unavailable` from the plan keeps what there is.
    """

    name: str
    plan: "Callable[[], Awaitable[Sequence[SupervisorSpec]]]"
    replan_s: float = 5.0
    max_restarts: int = 5
    within_s: float = 60.0
    backoff: BackoffPolicy = BackoffPolicy()
    restart: RestartPolicy = "permanent"
    significant: bool = False


AnySpec = ChildSpec | SupervisorSpec | EntityHostSpec | DynamicSpec
