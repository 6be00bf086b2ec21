"""The node's sockets: the public listener with what identity needs, and the internal one."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from actors.base import ActorCrashed, AskTimeout, MailboxFull, NoSuchActor
from config.sections import Settings
from penpay.adapters.audit_store import MySqlSysAudit
from penpay.adapters.deriv_accounts import DialedDerivAccounts
from penpay.adapters.deriv_link_store import MySqlDerivLinks
from penpay.adapters.http_reads import MySqlReads
from penpay.adapters.identity_store import MySqlIdentities
from penpay.adapters.kyc_store import MySqlKyc
from penpay.adapters.overview import MySqlOverview
from penpay.adapters.password_store import MySqlPasswordChanges
from penpay.adapters.passwords import Argon2Passwords
from penpay.adapters.phone_store import MySqlPhoneChanges
from penpay.adapters.pin_store import MySqlPins
from penpay.adapters.rate_limits import RedisRateLimits
from penpay.adapters.receipts import Ed25519Receipts
from penpay.adapters.review_store import MySqlReviews
from penpay.adapters.secrets import SystemSecrets
from penpay.adapters.session_bells import RedisSessionBells
from penpay.adapters.session_store import MySqlSessions
from penpay.adapters.staff_store import MySqlApprovals, MySqlCustomerRecords
from penpay.adapters.statement_pdf import FpdfStatements
from penpay.adapters.story_store import MySqlStories
from penpay.adapters.stream_reader import StreamReader, blocking_client
from penpay.adapters.subject_store import MySqlSubjects
from penpay.adapters.tokens import EdDsaTokens
from penpay.app.outside import NodeHouse, lists_of, token_seeds
from penpay.app.rules import edge_settings_of, rules_of
from penpay.domain.board import Board
from penpay.domain.errors import OutcomeUnknown
from penpay.domain.overview import Check
from penpay.http.approvals import FourEyes
from penpay.http.connection import ConnectionBounds
from penpay.http.console import ConsoleDesk
from penpay.http.customers import CustomerDesk
from penpay.http.edge import Admission, Edge
from penpay.http.event_hub import EventHub, LiveEvent
from penpay.http.internal import InternalParts, Operations, internal_app
from penpay.http.public import public_app
from penpay.http.readiness import Dependency
from penpay.http.reconciling import ReconcileDesk
from penpay.http.reviews import ReviewDesk
from penpay.http.site import Site
from penpay.ports import Listener, OutboxRow, SessionBell

LOST_ANSWERS = (AskTimeout, ActorCrashed, OutcomeUnknown, TimeoutError)
"""What an ask may raise although the message may have been executed."""


class Bells:
    """`SessionBell`: streams of this node at once, those of others through Redis."""

    def __init__(self, events: EventHub, others: RedisSessionBells) -> None:
        self._bells: Sequence[SessionBell] = (events, others)

    def ring(self, user_id: str) -> None:
        """See `SessionBell`."""
        for bell in self._bells:
            bell.ring(user_id)


def bells_of(house: NodeHouse, events: EventHub) -> Bells:
    """What is rung when sessions end or somebody is frozen."""
    others = RedisSessionBells(house.outside.redis)
    house.outside.closing.push_async_callback(others.close)
    return Bells(events, others)


def edge_of(house: NodeHouse, admission: Admission, events: EventHub, bells: Bells) -> Edge:
    """Everything that the public routes work with."""
    outside = house.outside
    settings, database = outside.settings, outside.database
    pepper = settings.security.password_pepper.get_secret_value()
    passwords = Argon2Passwords(pepper=pepper)
    outside.closing.callback(passwords.close)
    return Edge(
        settings=edge_settings_of(settings),
        addresses=house.addresses,
        accounts=MySqlIdentities(database, outside.sealer),
        pins=MySqlPins(database),
        sessions=MySqlSessions(database, outside.sealer, bells, idle_s=settings.timing.refresh_idle_s),
        password_changes=MySqlPasswordChanges(database, outside.sealer, bells),
        phone_changes=MySqlPhoneChanges(database, outside.sealer, bells),
        links=MySqlDerivLinks(database, outside.sealer),
        reads=MySqlReads(database),
        inbox=outside.stores.inbox,
        callback_tokens=outside.tokens,
        sealer=outside.sealer,
        tokens=EdDsaTokens(seeds=token_seeds(settings), lifetime_s=int(settings.timing.access_token_s)),
        passwords=passwords,
        deriv_accounts=DialedDerivAccounts(outside.dialer),
        rate_limits=RedisRateLimits(outside.redis, outside.clock),
        receipts=Ed25519Receipts(settings.security.audit_signing_key.get_secret_value()),
        statement_pages=FpdfStatements(),
        events=events,
        clock=outside.clock,
        ids=outside.ids,
        secrets=SystemSecrets(),
        metrics=house.metrics,
        admission=admission,
        lost_answers=LOST_ANSWERS,
        unavailable_codes={NoSuchActor: "not_owner", MailboxFull: "overloaded"},
    )


class PublicDoor:
    """The public listener and the reader of the event streams, opened and closed together.

    The application is made anew at each opening: one that was closed cannot be opened again.
    """

    def __init__(self, house: NodeHouse, edge: Edge) -> None:
        self._house = house
        self._edge = edge
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Listen. An address in use raises `OSError`."""
        settings = self._house.outside.settings
        bind = settings.http.public_bind
        bounds = ConnectionBounds(
            per_address_max=settings.limits.connections_per_address * settings.limits.address_factor,
            # Proxies bring everybody; and a provider that reports is never turned away.
            unbounded=(*settings.http.trusted_proxies, *settings.daraja.callback_allowlist),
        )
        site = Site("public", public_app(self._edge), host=bind.host, port=bind.port, bounds=bounds)
        reader = StreamReader(
            blocking_client(settings.redis.url.get_secret_value()),
            shards=settings.node.shards,
            publish=self._publish,
            ring=self._edge.events.ring,
        )
        await _open(self._stack, reader)
        await _open(self._stack, site)

    async def close(self) -> None:
        """End the event streams, finish what is being answered, then close. Idempotent."""
        self._edge.events.end_all()
        await self._stack.aclose()

    def _publish(self, row: OutboxRow) -> None:
        event = LiveEvent(shard=row.shard, seq=row.seq, type=row.type, user_id=row.user_id, body=row.body)
        self._edge.events.publish(event)


class InternalDoor:
    """The internal listener: first up, last down."""

    def __init__(self, parts: InternalParts, settings: Settings) -> None:
        self._parts = parts
        self._bind = settings.http.internal_bind
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Listen. An address in use raises `OSError`."""
        await _open(
            self._stack, Site("internal", internal_app(self._parts), host=self._bind.host, port=self._bind.port)
        )

    async def close(self) -> None:
        """Close. Idempotent."""
        await self._stack.aclose()


async def _open(stack: AsyncExitStack, listener: Listener) -> None:
    await listener.open()
    stack.push_async_callback(listener.close)


@dataclass(frozen=True, slots=True)
class NodeReadiness:
    """What readiness rests on: the last probes, the rails' own word, ownership, admission."""

    board: Board
    admission: Admission
    owned: Callable[[], int]
    shards: int
    closed_gates: Callable[[], dict[int, str]]

    async def dependencies(self) -> Sequence[Dependency]:
        """One entry per thing, with its reason when it is not well."""
        board = self.board
        found = [
            Dependency(name=name, ok=not problem, detail=problem, needed=name == "database")
            for name, problem in sorted(board.dependencies.items())
        ]
        for rail in ("daraja", "deriv"):
            health = board.rail(rail)
            detail = health.reason or board.without(rail)
            found.append(Dependency(name=rail, ok=health.up, detail=detail, needed=False))
        fx, owned, gates = board.fx, self.owned(), self.closed_gates()
        problem = fx.problem if fx is not None else "no rate yet"
        reasons = "; ".join(sorted(set(gates.values())))
        waits = ", ".join(sorted(board.unopened))
        open_ = self.admission.open
        missing = "" if owned else ": another node runs them, or they are on their way here"
        return [
            *found,
            Dependency(name="fx", ok=not problem, detail=problem, needed=False),
            Dependency(name="shards", ok=owned == self.shards, detail=f"{owned} of {self.shards}{missing}"),
            Dependency(name="opening balances", ok=not board.unopened, detail=waits or board.opened_without),
            Dependency(name="admission", ok=open_, detail="" if open_ else "closed"),
            Dependency(name="recovery", ok=not gates, detail=reasons, needed=False),
        ]


def internal_parts(
    house: NodeHouse,
    *,
    readiness: NodeReadiness,
    operations: Operations,
    drain: Callable[[], None],
    before_scrape: Callable[[], None],
    last_check: Callable[[], Check | None],
    bells: Bells,
) -> InternalParts:
    """What the internal listener works with."""
    outside = house.outside
    review, reconciliation, customers = _desks(house, bells)
    return InternalParts(
        readiness=readiness,
        operations=operations,
        metrics=house.metrics,
        ids=outside.ids,
        ops_token=outside.settings.security.ops_token.get_secret_value(),
        admin_per_minute=outside.settings.limits.admin_per_minute * outside.settings.limits.address_factor,
        drain=drain,
        before_scrape=before_scrape,
        unknown_path=(NoSuchActor,),
        desk=review,
        reconciliation=reconciliation,
        customers=customers,
        console=_console(house, readiness, last_check),
    )


def _console(house: NodeHouse, readiness: NodeReadiness, last_check: Callable[[], Check | None]) -> ConsoleDesk:
    """Where staff look."""
    outside, database = house.outside, house.outside.database
    return ConsoleDesk(
        node=outside.settings.node.name,
        readiness=readiness,
        board=house.board,
        last_check=last_check,
        reads=MySqlOverview(database),
        items=MySqlSubjects(database),
        stories=MySqlStories(database, outside.sealer),
        rules=rules_of(outside.settings),
        deadlines=edge_settings_of(outside.settings).deadlines,
        clock=outside.clock,
        ids=outside.ids,
    )


def _desks(house: NodeHouse, bells: Bells) -> tuple[ReviewDesk, ReconcileDesk, CustomerDesk]:
    """Where staff decide, all of them with four eyes and one log."""
    outside, database = house.outside, house.outside.database
    ask_s = outside.settings.timing.request_s
    staff_log = MySqlSysAudit(database)
    kyc = MySqlKyc(database, outside.sealer)
    four_eyes = FourEyes(MySqlApprovals(database), staff_log)
    lists = lists_of(outside)
    review = ReviewDesk(
        reviews=MySqlReviews(database),
        four_eyes=four_eyes,
        movements=lists,
        names=kyc,
        ids=outside.ids,
        addresses=house.addresses,
        clock=outside.clock,
        ask_s=ask_s,
        lost_answers=LOST_ANSWERS,
    )
    reconciliation = ReconcileDesk(
        addresses=house.addresses,
        clock=outside.clock,
        ids=outside.ids,
        staff_log=staff_log,
        reads=outside.stores.rail_reads,
        movements=lists,
        floats=lambda: house.board.floats,
        closed=house.gate.closed,
        ask_s=ask_s,
        lost_answers=LOST_ANSWERS,
    )
    customers = CustomerDesk(
        records=MySqlCustomerRecords(database),
        tiers=kyc,
        bell=bells,
        four_eyes=four_eyes,
        addresses=house.addresses,
        clock=outside.clock,
        ids=outside.ids,
        ask_s=ask_s,
        lost_answers=LOST_ANSWERS,
    )
    return review, reconciliation, customers
