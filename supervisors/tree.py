"""Our tree, as data: who stands under whom, in which order, and what a crash takes along.

Starts from top to bottom, stops from bottom to top. The door opens for callbacks early and closes late, for the
provider does not call twice; new business is admitted last and refused first.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from actors.admission import AdmissionActor
from actors.anchors import AnchorActor, AnchorParts
from actors.base import Blueprint
from actors.daraja_gate import DarajaGateActor, GateParts
from actors.daraja_pollers import DarajaPollersActor, PollerParts
from actors.deriv_agent import AgentWitness
from actors.deriv_credit_parts import CreditParts
from actors.deriv_credits import DerivCreditsActor
from actors.deriv_customers import CustomersParts, DerivCustomersActor
from actors.deriv_resolver import DerivResolverActor, ResolverParts
from actors.deriv_session import DerivSessionActor
from actors.deriv_session_parts import SessionParts
from actors.deriv_transfers import DerivTransfersActor, TransferSettings
from actors.deriv_withdrawals import DerivWithdrawalsActor, WithdrawalParts
from actors.desk import UserParts
from actors.fx_feed import FxFeedActor, FxParts
from actors.listener import ListenerActor
from actors.mail import MailActor
from actors.parking import park
from actors.periodic import Job, PeriodicActor, ReadingActor
from actors.rail_lease import LeaseHolder, RailLeaseActor
from actors.rail_parts import SenderParts
from actors.saga import SagaActor, SagaParts
from actors.shard_lease import ShardLeaseActor
from actors.sms import SmsActor
from actors.user import UserActor
from config import limits
from penpay.domain.readable import Unreadable
from penpay.ports import Gate, Listener
from penpay.ports_rails import MailGateway, SmsGateway
from supervisors.specs import AnySpec, ChildSpec, DynamicSpec, EntityHostSpec, SupervisorSpec
from supervisors.watchdog import WatchdogActor

DRAIN_S = 20.0
"""The longest that a listener or a rail takes for what is in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCrew:
    """What one shard's actors are made of. The ledger, inbox and outbox come as blueprints of the composition root."""

    shard: int
    lease: LeaseHolder
    renew_s: float
    ledger: Callable[[], Blueprint]
    users: UserParts
    sagas: SagaParts
    wake_ups: Callable[[], Blueprint]
    inbox: Callable[[], Blueprint]
    outbox: Callable[[], Blueprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """What everybody else is made of."""

    internal: Listener
    public: Listener
    admission: Gate
    loop_lag: Callable[[float], None]
    """Told how late the event loop ran."""
    anchors: AnchorParts
    database: Job
    redis: Job
    probe_s: float
    rail_renew_s: float
    deriv_lease: LeaseHolder
    session: SessionParts
    transfers: SenderParts
    witness: AgentWitness
    transfer_settings: TransferSettings
    withdrawals: WithdrawalParts
    resolver: ResolverParts
    credits: CreditParts
    customers: CustomersParts
    daraja_lease: LeaseHolder
    gate: GateParts
    pollers: PollerParts
    feed: FxParts
    sms: SmsGateway
    mail: MailGateway | None = None
    """None where no mail server is configured: then nobody stands at `rails/mail`."""
    shards: Callable[[], Awaitable[Sequence[SupervisorSpec]]]
    replan_s: float
    opening: Callable[[], Blueprint]
    jobs: Sequence[tuple[str, Job, float]]
    proofs: Sequence[tuple[str, Job, float]]


def saga_host(parts: SagaParts) -> EntityHostSpec:
    """The sagas of a shard. One that breaks too often, or whose row nobody can read, is put in front of a person."""
    return EntityHostSpec(
        name="sagas",
        factory=lambda transaction_id: (SagaActor, (transaction_id, parts)),
        on_parked=lambda transaction_id, error: park(transaction_id, error, parts),
        max_children=limits.ENTITIES_MAX,
        crashes_max=limits.SAGA_CRASHES_MAX,
        hopeless=(Unreadable,),
        recovery_limit=limits.RECOVERIES_MAX,
        sweep_s=SagaActor.IDLE_S,
    )


def shard_tree(crew: ShardCrew) -> SupervisorSpec:
    """One shard. Its lease stands first: when ownership ends, nothing behind it may go on."""
    return SupervisorSpec(
        name=str(crew.shard),
        strategy="rest_for_one",
        max_restarts=limits.RESTARTS_MAX,
        within_s=limits.RESTARTS_WITHIN_S,
        children=[
            ChildSpec(
                name="lease",
                factory=lambda: (ShardLeaseActor, (crew.lease, crew.renew_s)),
                restart="transient",
                significant=True,
            ),
            ChildSpec(
                name="ledger",
                factory=crew.ledger,
                restart="transient",
                significant=True,
                keep_mailbox=False,
                start_timeout_s=None,
            ),
            EntityHostSpec(
                name="users",
                factory=lambda user_id: (UserActor, (user_id, crew.users)),
                max_children=limits.ENTITIES_MAX,
                recovery_limit=limits.RECOVERIES_MAX,
            ),
            saga_host(crew.sagas),
            ChildSpec(name="wake-ups", factory=crew.wake_ups),
            ChildSpec(name="inbox", factory=crew.inbox),
            ChildSpec(name="outbox", factory=crew.outbox),
        ],
    )


def penpay_tree(crew: Crew) -> SupervisorSpec:
    """The whole node. The root gives up sooner than its branches: three crashes in a minute end the process."""
    return SupervisorSpec(
        name="penpay",
        strategy="one_for_one",
        max_restarts=limits.ROOT_RESTARTS_MAX,
        within_s=limits.RESTARTS_WITHIN_S,
        children=[_ops(crew), _infra(crew), _door(crew), _rails(crew), _shards(crew), _jobs(crew), _edge(crew)],
    )


def _ops(crew: Crew) -> SupervisorSpec:
    return _branch(
        "ops",
        [
            ChildSpec(
                name="http", factory=lambda: (ListenerActor, ("internal http", crew.internal)), shutdown_s=DRAIN_S
            ),
            _child("watchdog", (WatchdogActor, (crew.loop_lag,))),
            _child("anchors", (AnchorActor, (crew.anchors,)), shutdown_s=DRAIN_S),
        ],
    )


def _infra(crew: Crew) -> SupervisorSpec:
    return SupervisorSpec(
        name="infra",
        strategy="rest_for_one",
        children=[
            _job("database", crew.database, crew.probe_s, at_once=True),
            _job("redis", crew.redis, crew.probe_s, at_once=True),
        ],
    )


def _door(crew: Crew) -> SupervisorSpec:
    factory = _constant((ListenerActor, ("public http", crew.public)))
    return _branch("door", [ChildSpec(name="http", factory=factory, shutdown_s=DRAIN_S)])


def _rails(crew: Crew) -> SupervisorSpec:
    return _branch(
        "rails",
        [
            _deriv(crew),
            _daraja(crew),
            _child("fx", (FxFeedActor, (crew.feed,))),
            _child("sms", (SmsActor, (crew.sms,))),
            *([_child("mail", (MailActor, (crew.mail,)))] if crew.mail is not None else []),
        ],
    )


def _deriv(crew: Crew) -> SupervisorSpec:
    transfers = (
        DerivTransfersActor,
        {"parts": crew.transfers, "witness": crew.witness, "settings": crew.transfer_settings},
    )
    return SupervisorSpec(
        name="deriv",
        strategy="rest_for_one",
        children=[
            _child("lease", (RailLeaseActor, {"holder": crew.deriv_lease, "renew_s": crew.rail_renew_s})),
            _child("session", (DerivSessionActor, (crew.session,))),
            _child("transfers", transfers, shutdown_s=DRAIN_S),
            _child("withdrawals", (DerivWithdrawalsActor, (crew.withdrawals,)), shutdown_s=DRAIN_S),
            _child("resolver", (DerivResolverActor, (crew.resolver,))),
            _child("credits", (DerivCreditsActor, (crew.credits,))),
            _child("customers", (DerivCustomersActor, (crew.customers,))),
        ],
    )


def _daraja(crew: Crew) -> SupervisorSpec:
    return SupervisorSpec(
        name="daraja",
        strategy="rest_for_one",
        children=[
            _child("lease", (RailLeaseActor, {"holder": crew.daraja_lease, "renew_s": crew.rail_renew_s})),
            _child("gate", (DarajaGateActor, (crew.gate,)), shutdown_s=DRAIN_S),
            _child("pollers", (DarajaPollersActor, (crew.pollers,))),
        ],
    )


def _shards(crew: Crew) -> DynamicSpec:
    return DynamicSpec(name="shards", plan=crew.shards, replan_s=crew.replan_s)


def _jobs(crew: Crew) -> SupervisorSpec:
    children: list[AnySpec] = [ChildSpec(name="opening", factory=crew.opening)]
    proofs = [_child(name, (ReadingActor, (name, job, every_s))) for name, job, every_s in crew.proofs]
    jobs = [_job(name, job, every_s) for name, job, every_s in crew.jobs]
    return _branch("jobs", [*children, *proofs, *jobs])


def _edge(crew: Crew) -> SupervisorSpec:
    return _branch("edge", [_child("admission", (AdmissionActor, (crew.admission,)))])


def _branch(name: str, children: Sequence[AnySpec]) -> SupervisorSpec:
    return SupervisorSpec(name=name, strategy="one_for_one", children=children)


def _child(name: str, blueprint: Blueprint, *, shutdown_s: float = 5.0) -> ChildSpec:
    return ChildSpec(name=name, factory=_constant(blueprint), shutdown_s=shutdown_s)


def _job(name: str, job: Job, every_s: float, *, at_once: bool = False) -> ChildSpec:
    return _child(name, (PeriodicActor, {"name": name, "job": job, "every_s": every_s, "at_once": at_once}))


def _constant(blueprint: Blueprint) -> Callable[[], Blueprint]:
    return lambda: blueprint
