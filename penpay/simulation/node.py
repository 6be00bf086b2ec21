"""One simulated process: production's house, shards, rails and tree, on a loop of its own, with a simulated outside.

Left out are the sockets (`door.py` does what the edge does before and after it asks an actor) and the watchdog, which
is a thread that watches wall time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.anchors import AnchorParts
from actors.base import Blueprint, StartFailed
from actors.opening import ACCOUNTS, OpeningActor
from actors.parking import park
from actors.saga import SagaParts
from penpay.adapters.crypto import HmacCallbackTokens
from penpay.app.crew import ShardPlan, daraja_rail, deriv_rail, fx_feed
from penpay.app.house import House, Outside, Stores
from penpay.app.outside import keyring
from penpay.app.rules import rules_of
from penpay.domain.errors import Unavailable
from penpay.messages_rails import DerivBalance
from penpay.simulation.clock import WorldClock
from penpay.simulation.deriv_socket import SimDialer
from penpay.simulation.feeds import NodeStreams, NoListener, NoMetrics, SimFx, SimSms
from penpay.simulation.loop import NodeLoop
from penpay.simulation.mail import ForcedCrash
from penpay.simulation.mpesa_gateway import SimDaraja
from penpay.simulation.scale import settings_of
from penpay.simulation.store.stores import MemoryStores, stores_of
from penpay.simulation.store.weather import Weather
from supervisors.entity_host import PARK_RETRY_S
from supervisors.root import SupervisionTree
from supervisors.specs import ChildSpec, SupervisorSpec
from supervisors.tree import Crew, penpay_tree

if TYPE_CHECKING:
    from penpay.simulation.world import World

PROBE_S = 5.0
REPLAN_S = 4.0
CLAIM_PAUSE_S = 0.2
OUTBOX_LOOK_S = 4.0
"""Looks that a bell makes unnecessary are made less often: a simulated hour has few events."""


@dataclass(slots=True)
class OpenDoor:
    """`Gate`."""

    open: bool = False


class SimNode:
    """A process. Dead for good after `kill`; another one may bear its name."""

    def __init__(self, around: "World", name: str, weather: Weather) -> None:
        self.around = around
        self.name = name
        self.loop = NodeLoop(around.universe, name)
        self.gate = OpenDoor()
        self.clock = clock = WorldClock(around.universe, skew_s=around.clocks[name])
        self.boot_id = around.ids.ulid()
        settings = settings_of(around.shards)
        settings = settings.model_copy(update={"node": settings.node.model_copy(update={"name": name})})
        self.stores: MemoryStores = stores_of(
            around.server,
            node=name,
            boot_id=self.boot_id,
            clock=clock,
            ids=around.ids,
            weather=weather,
            lease_s=settings.timing.shard_lease_s,
        )
        self.dialer = SimDialer(self.loop, around.post, around.odds, around.deriv.hear, around.deriv.gone)
        self.outside = Outside(
            settings=settings,
            boot_id=self.boot_id,
            clock=clock,
            ids=around.ids,
            dice=around.dice_of("node"),
            sealer=around.sealer,
            tokens=around.tokens,
            stores=around.twists.stores(_stores(self.stores)),
            streams=NodeStreams(around.streams, around.odds),
            daraja=SimDaraja(around.mpesa, around.odds, around.post, self.loop, call_s=settings.timing.daraja_call_s),
            dialer=self.dialer,
            fx=[SimFx(around.odds, clock), SimFx(around.odds, clock)],
            sms=SimSms(),
        )
        self.house = House(self.outside, NoMetrics())
        self.house.board.unopened = {rail for rail, _, _ in ACCOUNTS}
        spec = around.twists.tree(_without_thread(penpay_tree(self._crew())))
        self.tree = SupervisionTree(spec, randomness=self.outside.dice, stall_check_s=60.0)
        self.house.addresses.registry = around.heard(self, self.tree.registry)

    @property
    def ready(self) -> bool:
        """It takes new business."""
        board = self.house.board
        return self.gate.open and not board.unopened and board.fx is not None and board.rail("deriv").up

    def start(self) -> None:
        """Begin its life."""
        self.loop.create_task(self._live(), name="main")

    def kill(self) -> None:
        """As `kill -9`."""
        self.around.server.kill_process(self.boot_id)
        self.loop.kill()
        self.dialer.cut_all()

    def park(self, shard: int, transaction_id: str) -> None:
        """A saga of this node broke once too often: what its host does then."""
        outside = self.outside
        parts = SagaParts(
            shard,
            self.house.addresses,
            self.stores.sagas,
            outside.clock,
            outside.ids,
            rules_of(outside.settings),
            outside.sealer,
            self.house.suspects,
        )
        self.loop.create_task(_parked(transaction_id, parts), name="park")

    async def _live(self) -> None:
        await self._claim()
        try:
            await self.tree.start()
            await self.tree.failed
        except StartFailed:
            self.around.odds.saw("node.refused_to_start")
        self.around.gave_up(self)

    async def _claim(self) -> None:
        """Wait for the name: the database notices late that a killed process is gone, or is away itself."""
        while True:
            try:
                if await self.stores.leases.claim_node():
                    return
            except Unavailable:
                self.around.odds.saw("node.waits_for_database")
            await asyncio.sleep(CLAIM_PAUSE_S)

    # --- what its actors are made of, as in `penpay.app.node` ---

    def _crew(self) -> Crew:
        house, outside = self.house, self.outside
        timing = outside.settings.timing
        deriv, daraja = deriv_rail(house, _nobody_looks), daraja_rail(house)
        return Crew(
            internal=NoListener(),
            public=NoListener(),
            admission=self.gate,
            loop_lag=lambda _: None,
            anchors=AnchorParts(
                heads=self.stores.heads,
                book=self.around.anchors,
                gate=house.gate,
                clock=outside.clock,
                shards=outside.settings.node.shards,
                look_s=timing.witness_s,
                anchor_s=timing.anchor_s,
            ),
            database=self._probe,
            redis=_well,
            probe_s=PROBE_S,
            rail_renew_s=timing.lease_renew_s,
            deriv_lease=deriv.lease,
            session=replace(deriv.session, settings=replace(deriv.session.settings, lease_look_s=4.0)),
            transfers=deriv.sender,
            witness=deriv.witness,
            transfer_settings=deriv.transfers,
            withdrawals=replace(deriv.withdrawals, settings=replace(deriv.withdrawals.settings, look_s=4.0)),
            resolver=deriv.resolver,
            credits=deriv.credits,
            customers=deriv.customers,
            daraja_lease=daraja.lease,
            gate=daraja.gate,
            pollers=replace(
                daraja.pollers, settings=replace(daraja.pollers.settings, sweep_every_s=4.0, reserve_every_s=20.0)
            ),
            feed=fx_feed(house),
            sms=outside.sms,
            shards=self._shards(ShardPlan(house)),
            replan_s=REPLAN_S,
            opening=self._opening,
            jobs=(),
            proofs=(),
        )

    def _shards(self, plan: ShardPlan) -> Callable[[], Awaitable[Sequence[SupervisorSpec]]]:
        async def planned() -> Sequence[SupervisorSpec]:
            return [self.around.twists.tree(_patient(spec)) for spec in await plan()]

        return planned

    def _opening(self) -> Blueprint:
        parts = {"addresses": self.house.addresses, "board": self.house.board, "clock": self.outside.clock}
        overview = self.stores.overview
        return OpeningActor, {**parts, "is_booked": overview.is_recorded, "in_the_books": overview.account_minor}

    async def _probe(self) -> str:
        await self.stores.overview.ping()
        return "well"


def _stores(memory: MemoryStores) -> Stores:
    return Stores(
        sagas=memory.sagas,
        users=memory.users,
        inbox=memory.inbox,
        attempts=memory.attempts,
        outbox=memory.outbox,
        leases=memory.leases,
        rail_reads=memory.rail_reads,
        payments=memory.payments,
        ledger=memory.ledger,
    )


def _patient(shard: SupervisorSpec) -> SupervisorSpec:
    """A shard whose outbox relay looks by itself less often."""
    *others, outbox = shard.children
    assert isinstance(outbox, ChildSpec)
    factory = outbox.factory

    def blueprint() -> Blueprint:
        actor, arguments = factory()
        return actor, {**dict(arguments), "look_s": OUTBOX_LOOK_S}

    return replace(shard, children=[*others, replace(outbox, factory=blueprint)])


def _without_thread(spec: SupervisorSpec) -> SupervisorSpec:
    """The tree without the watchdog."""
    ops = spec.children[0]
    assert isinstance(ops, SupervisorSpec)
    kept = [child for child in ops.children if child.name != "watchdog"]
    return replace(spec, children=[replace(ops, children=kept), *spec.children[1:]])


def tokens_of(shards: int) -> HmacCallbackTokens:
    """The real thing: it draws nothing and costs little."""
    settings = settings_of(shards)
    ring, current = keyring(settings.security.callback_key)
    return HmacCallbackTokens(public_url=settings.http.public_url, keys=ring, current=current)


async def _parked(transaction_id: str, parts: SagaParts) -> None:
    while True:
        try:
            return await park(transaction_id, ForcedCrash(transaction_id), parts)
        except Unavailable:
            await asyncio.sleep(PARK_RETRY_S)


async def _well() -> str:
    return "well"


def _nobody_looks(user_id: str, balance: DerivBalance) -> None:
    del user_id, balance
