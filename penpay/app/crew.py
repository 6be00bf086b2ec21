"""What the actors of a node are made of: the parts that the tree hands to each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import structlog

from actors.daraja_gate import GateParts, GateSettings
from actors.daraja_pollers import PollerParts, PollerSettings
from actors.deriv_agent import Agent, AgentWitness
from actors.deriv_credit_parts import CreditParts, CreditSettings
from actors.deriv_customers import CustomersParts
from actors.deriv_resolver import ResolverParts, ResolverSettings
from actors.deriv_session_parts import SessionParts, SessionSettings
from actors.deriv_statement import AgentStatement, CustomerStatements
from actors.deriv_transfers import TransferSettings
from actors.deriv_withdrawals import WithdrawalParts, WithdrawalSettings
from actors.desk import UserParts
from actors.fx_feed import FxParts, FxSettings
from actors.inbox import InboxActor, InboxTimes
from actors.ledger import LedgerActor
from actors.outbox import OutboxActor
from actors.payment_watch import DAY_S, WatchParts, WatchSettings
from actors.rail_lease import LeaseHolder
from actors.rail_parts import SenderParts, SenderSettings
from actors.saga import SagaParts
from actors.wakeups import WakeUpsActor
from penpay.app.house import House, HouseMetrics
from penpay.app.rules import limits_of, rules_of
from penpay.messages_rails import DerivBalance
from supervisors.specs import SupervisorSpec
from supervisors.tree import ShardCrew, shard_tree

log = structlog.get_logger()

LOOK_S = 1.0
"""How often a shard looks for sagas whose time has come."""


class ShardPlan:
    """Which shards this node runs: those whose lease it has or can take. Asked by the tree every few seconds."""

    def __init__(self, house: House) -> None:
        self._house = house
        outside = house.outside
        self._holders = {
            shard: LeaseHolder(f"shard/{shard}", outside.stores.leases, outside.clock)
            for shard in range(outside.settings.node.shards)
        }
        self._trees = {shard: shard_tree(self._crew(shard, holder)) for shard, holder in self._holders.items()}

    @property
    def owned(self) -> int:
        """How many shards are ours until a row says otherwise."""
        return sum(holder.held for holder in self._holders.values())

    async def __call__(self) -> Sequence[SupervisorSpec]:
        """The shards to run. Raises `Unavailable`: then everything stays as it is."""
        if not await self._house.outside.stores.leases.claim_node():
            # Our leases still say whose the shards are; but a restart of ours would have to wait for them.
            log.error("node_name_taken", node=self._house.outside.settings.node.name)
        for holder in self._holders.values():
            if not holder.held:
                await holder.take()
        return [self._trees[shard] for shard, holder in self._holders.items() if holder.held]

    def _crew(self, shard: int, holder: LeaseHolder) -> ShardCrew:
        house, outside = self._house, self._house.outside
        stores, timing = outside.stores, outside.settings.timing
        addresses, clock = house.addresses, outside.clock
        shared = {"shard": shard, "addresses": addresses, "clock": clock}
        return ShardCrew(
            shard=shard,
            lease=holder,
            renew_s=timing.lease_renew_s,
            ledger=lambda: (
                LedgerActor,
                {
                    "shard": shard,
                    "store": stores.ledger,
                    "ids": outside.ids,
                    "dice": outside.dice,
                    "gate": house.gate,
                    "meter": LedgerMeter(house.metrics),
                },
            ),
            users=UserParts(
                shard=shard,
                addresses=addresses,
                store=stores.users,
                clock=clock,
                ids=outside.ids,
                sealer=outside.sealer,
                board=house.board,
                limits=limits_of(outside.settings),
                agent_loginid=outside.settings.deriv.agent_loginid,
                rules=rules_of(outside.settings),
                meter=house.metrics,
            ),
            sagas=self._sagas(shard),
            wake_ups=lambda: (WakeUpsActor, {"store": stores.sagas, "every_s": LOOK_S, **shared}),
            inbox=lambda: (
                InboxActor,
                {
                    "store": stores.inbox,
                    "suspects": house.suspects,
                    "ids": outside.ids,
                    "times": InboxTimes(sweep_s=timing.callback_sweep_s, age_s=timing.callback_sweep_s),
                    **shared,
                },
            ),
            outbox=lambda: (
                OutboxActor,
                {"store": stores.outbox, "streams": outside.streams, "cursor_s": timing.outbox_cursor_s, **shared},
            ),
        )

    def _sagas(self, shard: int) -> SagaParts:
        house, outside = self._house, self._house.outside
        return SagaParts(
            shard=shard,
            addresses=house.addresses,
            store=outside.stores.sagas,
            clock=outside.clock,
            ids=outside.ids,
            rules=rules_of(outside.settings),
            sealer=outside.sealer,
            suspects=house.suspects,
            meter=house.metrics,
        )


class LedgerMeter:
    """The ledger's figures on their way to the metrics."""

    def __init__(self, metrics: HouseMetrics) -> None:
        self._metrics = metrics

    def batch(self, *, units: int, seconds: float) -> None:
        """One commit."""
        self._metrics.ledger_commit(units=units, seconds=seconds)

    def answered(self, result: str, count: int = 1) -> None:
        """Answers of one kind."""
        self._metrics.unit(result, count)


@dataclass(frozen=True, slots=True)
class DerivRail:
    """Parts of the Deriv branch."""

    lease: LeaseHolder
    witness: AgentWitness
    session: SessionParts
    sender: SenderParts
    transfers: TransferSettings
    withdrawals: WithdrawalParts
    resolver: ResolverParts
    credits: CreditParts
    customers: CustomersParts


def deriv_rail(house: House, publish: Callable[[str, DerivBalance], None]) -> DerivRail:
    """The agent's socket, what sends over it, what reads statements, and the customers' sockets."""
    outside = house.outside
    settings, timing = outside.settings, outside.settings.timing
    lease = LeaseHolder("rail/deriv", outside.stores.leases, outside.clock)
    agent = Agent(loginid=settings.deriv.agent_loginid, token=settings.deriv.agent_token.get_secret_value())
    witness = AgentWitness(agent, house.board, outside.clock)
    sender = sender_parts(house, lease)
    return DerivRail(
        lease=lease,
        witness=witness,
        session=SessionParts(
            dialer=outside.dialer,
            agent=agent,
            lease=lease,
            witness=witness,
            board=house.board,
            addresses=house.addresses,
            clock=outside.clock,
            dice=outside.dice,
            settings=SessionSettings(
                ping_s=timing.deriv_ping_s, pong_s=timing.deriv_pong_s, call_s=timing.deriv_call_s
            ),
        ),
        sender=sender,
        transfers=TransferSettings(
            call_s=timing.deriv_call_s,
            calls_per_min=settings.limits.deriv_calls_per_minute,
            settle_s=timing.deriv_settle_s,
            check_cache_s=timing.recipient_check_cache_s,
        ),
        withdrawals=WithdrawalParts(
            sender=sender,
            dialer=outside.dialer,
            reads=outside.stores.rail_reads,
            sealer=outside.sealer,
            agent=agent,
            witness=witness,
            settings=WithdrawalSettings(call_s=timing.deriv_call_s, settle_s=timing.deriv_settle_s),
        ),
        **_readers(house, witness, lease),
        customers=CustomersParts(dialer=outside.dialer, clock=outside.clock, dice=outside.dice, publish=publish),
    )


class _Readers(TypedDict):
    resolver: ResolverParts
    credits: CreditParts


def _readers(house: House, witness: AgentWitness, lease: LeaseHolder) -> _Readers:
    """Who reads statements: all of them under one pace."""
    outside = house.outside
    settings, timing, stores = outside.settings, outside.settings.timing, outside.stores
    statement = AgentStatement(
        witness=witness,
        addresses=house.addresses,
        clock=outside.clock,
        call_s=timing.deriv_call_s,
        reads_per_min=settings.limits.deriv_reads_per_minute,
    )
    resolver = ResolverParts(
        statement=statement,
        customers=CustomerStatements(dialer=outside.dialer, sealer=outside.sealer, call_s=timing.deriv_call_s),
        attempts=stores.attempts,
        reads=stores.rail_reads,
        addresses=house.addresses,
        clock=outside.clock,
        settings=ResolverSettings(settle_s=timing.deriv_settle_s, apart_s=max(1.0, 20.0 / timing.speed)),
    )
    credits_parts = CreditParts(
        lease=lease,
        statement=statement,
        attempts=stores.attempts,
        reads=stores.rail_reads,
        inbox=stores.inbox,
        addresses=house.addresses,
        clock=outside.clock,
        ids=outside.ids,
        settings=CreditSettings(
            settle_s=timing.deriv_settle_s,
            unclaimed_s=3 * timing.withdrawal_witness_s,
            look_every_s=max(5.0, 60.0 / timing.speed),
            balance_every_s=timing.float_poll_s,
        ),
    )
    return {"resolver": resolver, "credits": credits_parts}


def sender_parts(house: House, lease: LeaseHolder) -> SenderParts:
    """What every rail's sender works with."""
    timing = house.outside.settings.timing
    return SenderParts(
        lease=lease,
        attempts=house.outside.stores.attempts,
        addresses=house.addresses,
        clock=house.outside.clock,
        board=house.board,
        settings=SenderSettings(
            sweep_every_s=timing.submit_sweep_s,
            restart_wait_s=timing.rail_restart_wait_s,
            first_byte_s=timing.first_byte_s,
        ),
        observe=house.metrics.provider,
    )


@dataclass(frozen=True, slots=True)
class DarajaRail:
    """Parts of the Daraja branch."""

    lease: LeaseHolder
    gate: GateParts
    pollers: PollerParts


def daraja_rail(house: House) -> DarajaRail:
    """The gate that sends, and the pollers that look."""
    outside = house.outside
    settings, timing = outside.settings, outside.settings.timing
    lease = LeaseHolder("rail/daraja", outside.stores.leases, outside.clock)
    return DarajaRail(
        lease=lease,
        gate=GateParts(
            sender=sender_parts(house, lease),
            daraja=outside.daraja,
            reads=outside.stores.rail_reads,
            tokens=outside.tokens,
            sealer=outside.sealer,
            settings=GateSettings(
                stk_per_s=settings.limits.daraja_stk_per_s,
                b2c_per_s=settings.limits.daraja_b2c_per_s,
                other_per_s=settings.limits.daraja_other_per_s,
                stk_max_age_s=timing.stk_max_age_s,
                same_payout_id_s=timing.b2c_resend_s,
            ),
        ),
        pollers=PollerParts(
            lease=lease,
            daraja=outside.daraja,
            tokens=outside.tokens,
            inbox=outside.stores.inbox,
            reads=outside.stores.rail_reads,
            addresses=house.addresses,
            clock=outside.clock,
            ids=outside.ids,
            board=house.board,
            watch=_watch(house),
            settings=PollerSettings(
                balance_every_s=timing.float_poll_s,
                pull_every_s=timing.pull_every_s,
                one_short_code=settings.daraja.paying_shortcode == settings.daraja.shortcode,
            ),
        ),
    )


def _watch(house: House) -> WatchParts:
    """Who looks for payments that nobody asks about any more."""
    outside, settle_s = house.outside, house.outside.settings.timing.deriv_settle_s
    return WatchParts(
        daraja=outside.daraja,
        books=outside.stores.payments,
        reads=outside.stores.rail_reads,
        attempts=outside.stores.attempts,
        inbox=outside.stores.inbox,
        clock=outside.clock,
        ids=outside.ids,
        settings=WatchSettings(
            overlap_s=3 * settle_s, step_s=12 * settle_s, settle_s=settle_s, again_s=min(144 * settle_s, DAY_S)
        ),
    )


def fx_feed(house: House) -> FxParts:
    """The rate's two sources and the band of belief."""
    settings = house.outside.settings
    first, *rest = house.outside.fx
    return FxParts(
        first=first,
        second=rest[0] if rest else None,
        board=house.board,
        clock=house.outside.clock,
        settings=FxSettings(
            poll_s=settings.timing.fx_poll_s,
            max_age_s=settings.limits.fx_max_age_s,
            max_divergence_percent=settings.limits.fx_max_divergence_percent,
            day_band_percent=settings.limits.fx_day_band_percent,
            mid_min=settings.limits.fx_mid_min,
            mid_max=settings.limits.fx_mid_max,
        ),
    )
