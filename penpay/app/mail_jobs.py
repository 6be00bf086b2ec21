"""Telling customers by mail what became of their transactions: after the fact, and never in its way."""

import asyncio
from collections.abc import Sequence

import structlog

from actors.base import ActorCrashed, AskTimeout
from actors.courier import GIVEN_UP
from actors.periodic import Job
from penpay.adapters.database import Database
from penpay.adapters.identity_store import MySqlIdentities
from penpay.adapters.news_store import Happened, MySqlNews
from penpay.domain.errors import Unavailable
from penpay.domain.mails import is_end, mail_of
from penpay.messages_rails import MAIL, SendMail
from penpay.ports import Addresses, Clock, IndexSealer

log = structlog.get_logger()

MAILS_S = 3.0
MAILS_MAX = 50
"""Events of one shard in one run."""
SEND_S = 90.0
"""Longer than all tries of the mail rail, shorter than a node's claim."""


class MailJobs:
    """The jobs of one node; a shard's mails are one node's at a time.

    A mail is sent at least once: the cursor moves when it was sent, refused, or is a day old. While the server stays
    away nothing moves, and the next run begins where this one stopped.
    """

    def __init__(self, database: Database, sealer: IndexSealer, addresses: Addresses, clock: Clock) -> None:
        self._addresses = addresses
        self._clock = clock
        self._mails = MySqlNews(database, reader="mail")
        self._accounts = MySqlIdentities(database, sealer)

    def periodic(self) -> Sequence[tuple[str, Job, float]]:
        """Name, job, pause."""
        return [("mails", self.tell_ends, MAILS_S)]

    async def tell_ends(self) -> str:
        """One look at every shard that has news."""
        told = 0
        for shard in await self._mails.shards_with_news():
            events = await self._mails.claim(shard, at=self._clock.now(), limit=MAILS_MAX)
            if events is None:
                continue
            mails = [(event.seq, await self._mail_of(event)) for event in events if is_end(event.transaction)]
            stuck = await self._stuck([(seq, mail) for seq, mail in mails if mail is not None])
            settled = stuck - 1 if stuck is not None else events[-1].seq if events else 0
            await self._mails.told(shard, settled, at=self._clock.now())
            told += len(mails)
        return f"{told} told"

    async def _mail_of(self, event: Happened) -> SendMail | None:
        """None for a customer who is not known any more, or whose address cannot be read."""
        try:
            profile = await self._accounts.profile(event.user_id)
        except ValueError as error:
            # One customer's damaged row must not keep the others' mail back.
            log.error("mail_address_unreadable", event_id=event.event_id, reason=str(error))  # noqa: TRY400 - no bug
            return None
        if profile is None or not profile.email:
            return None
        subject, text = mail_of(event.transaction, profile.full_name)
        return SendMail(to=profile.email, subject=subject, text=text, reference=event.event_id)

    async def _stuck(self, mails: Sequence[tuple[int, SendMail]]) -> int | None:
        """The place of the first mail that could not be sent now."""
        outcomes = await asyncio.gather(*(self._sent(mail) for _, mail in mails))
        return min((seq for (seq, _), sent in zip(mails, outcomes, strict=True) if not sent), default=None)

    async def _sent(self, mail: SendMail) -> bool:
        try:
            outcome: object = await self._addresses.ask(MAIL, mail, timeout_s=SEND_S)
        except (AskTimeout, ActorCrashed, Unavailable):
            return False
        return outcome != GIVEN_UP
