"""What a node does beside its business: probes, gauges, proofs, and the checks before it starts."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from redis.exceptions import RedisError

from actors.anchors import AnchorParts
from actors.deriv_credit_parts import CreditParts
from actors.periodic import Job
from penpay.adapters.anchor_files import AnchorFiles
from penpay.adapters.audit_store import MySqlHeads
from penpay.adapters.kyc_store import MySqlKyc
from penpay.adapters.migrations import schema_problem
from penpay.adapters.overview import MySqlOverview
from penpay.adapters.server_check import login_problems, server_advice, server_problems
from penpay.app.identity_jobs import IdentityJobs
from penpay.app.mail_jobs import MailJobs
from penpay.app.name_questions import NAME_QUESTIONS_S, NameQuestions
from penpay.app.outside import NodeHouse
from penpay.app.payee_names import PayeeNames
from penpay.app.reconciliation import reconciliation
from penpay.domain.errors import StoreError, Unavailable
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency
from penpay.http.event_hub import EventHub, balance_event
from penpay.invariants.jobs import InvariantJobs
from penpay.messages_rails import DerivBalance
from supervisors.introspection import Census

log = structlog.get_logger()

GAUGES_S = 10.0


class Jobs:
    """The jobs of one node, as functions for the tree."""

    def __init__(self, house: NodeHouse, events: EventHub) -> None:
        self._house = house
        self._events = events
        self._overview = MySqlOverview(house.outside.database)
        self.invariants = InvariantJobs(
            house.outside.database,
            house.outside.clock,
            house.metrics,
            every_s=house.outside.settings.timing.invariants_s,
        )

    def periodic(self, agent: CreditParts) -> Sequence[tuple[str, Job, float]]:
        """Name, job, pause. `agent`: how this node reads the agent's statement."""
        outside = self._house.outside
        identity = IdentityJobs(outside.database, outside.sealer, outside.sms, outside.clock, outside.keys)
        names = NameQuestions(
            MySqlKyc(outside.database, outside.sealer), self._house.addresses, outside.ids, outside.clock
        )
        return [
            ("gauges", self.gauges, GAUGES_S),
            reconciliation(agent, self._house),
            *identity.periodic(),
            ("names", names.put, NAME_QUESTIONS_S),
            *PayeeNames(outside.database, outside.sealer, self._house.addresses, outside.clock).periodic(),
            *self._mails(),
        ]

    def _mails(self) -> Sequence[tuple[str, Job, float]]:
        """Only where a mail server is configured."""
        outside = self._house.outside
        if not outside.settings.smtp.host:
            return ()
        return MailJobs(outside.database, outside.sealer, self._house.addresses, outside.clock).periodic()

    def anchors(self) -> AnchorParts:
        """What carries the chains' heads out of the database."""
        outside = self._house.outside
        settings = outside.settings
        return AnchorParts(
            heads=MySqlHeads(outside.database),
            book=AnchorFiles(settings.anchor_dir, seed=settings.security.audit_signing_key.get_secret_value()),
            gate=self._house.gate,
            clock=outside.clock,
            shards=settings.node.shards,
            look_s=settings.timing.witness_s,
            anchor_s=settings.timing.anchor_s,
        )

    async def check_database(self) -> None:
        """Before anything starts. Raises `StoreError` with one line that says what is wrong."""
        await self._overview.ping()
        database, settings = self._house.outside.database, self._house.outside.settings
        refused = list(await server_problems(database))
        if problem := await schema_problem(database, shards=settings.node.shards):
            refused.append(problem)
        login, advised = await login_problems(database), await server_advice(database)
        if settings.is_relaxed:
            advised = (*advised, *login)
        else:
            refused += login
        for line in advised:
            log.warning("database_could_be_safer", found=line)
        if refused:
            raise StoreError(refused[0])

    async def open_keys(self) -> None:
        """Before anything is sealed. Raises `ValueError` when the field keys are not this database's."""
        await self._house.outside.keys.adopt(at=self._house.outside.clock.now())

    async def probe_database(self) -> str:
        """Asked every second; what it finds decides readiness."""
        return await self._probe("database", self._overview.ping())

    async def probe_redis(self) -> str:
        """Losing Redis slows things down and closes sign-in; it loses no money."""
        return await self._probe("redis", self._ping_redis())

    async def _ping_redis(self) -> None:
        try:
            await self._house.outside.redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("redis") from error

    async def _probe(self, name: str, asked: Any) -> str:
        known = self._house.board.dependencies
        try:
            await asked
        except Unavailable as error:
            if not known.get(name):
                log.warning("dependency_away", dependency=name)
            known[name] = f"away: {error}"
            return "away"
        if known.get(name):
            log.warning("dependency_back", dependency=name)
        known[name] = ""
        return "well"

    async def is_booked(self, unit_id: str) -> bool:
        """Whether an opening balance is in the books."""
        return await self._overview.is_recorded(unit_id)

    async def in_the_books(self, code: AccountCode, currency: Currency) -> int:
        """Minor units on an account of ours, over all shards."""
        return await self._overview.account_minor(code, currency)

    async def gauges(self) -> str:
        """Ages and counts that only the database knows."""
        house = self._house
        now = house.outside.clock.now()
        waiting = await self._overview.waiting()
        house.metrics.oldest_open({key: (now - since).total_seconds() for key, since in waiting.oldest_open.items()})
        for provider, count in waiting.unknown.items():
            house.metrics.unknown_outcomes(provider, count)
        lag = now - waiting.outbox_since if waiting.outbox_since is not None else timedelta()
        house.metrics.outbox_lag(lag.total_seconds())
        return "measured"

    def balance_seen(self, user_id: str, seen: DerivBalance) -> None:
        """A customer's Deriv balance moved: their open screens learn it at once."""
        self._events.publish(balance_event(user_id, seen))

    def measure(self, census: Mapping[str, Census]) -> None:
        """Gauges that are read off memory, taken when somebody scrapes."""
        board, metrics = self._house.board, self._house.metrics
        metrics.actors((kind, found.alive, found.mailbox_depth) for kind, found in census.items())
        metrics.deriv_connected(connected=board.rail("deriv").up)
        for account, seen in board.floats.items():
            currency = "USD" if account == "deriv_agent" else "KES"
            metrics.float_seen(account=account, currency=currency, minor=seen.balance_minor)
