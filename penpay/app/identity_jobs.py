"""Jobs around customers' identities: telling them what happened to their account, and changing keys."""

from collections.abc import Sequence

import structlog

from actors.periodic import Job
from penpay.adapters.crypto import KeySealer
from penpay.adapters.database import Database
from penpay.adapters.index_store import MySqlIndexes
from penpay.adapters.key_store import MySqlKeys
from penpay.adapters.notice_store import MySqlNotices
from penpay.adapters.upkeep_store import MySqlUpkeep
from penpay.domain.errors import Refused, Unavailable
from penpay.domain.notices import TRIES_MAX, Notice, notice_text
from penpay.ports import Clock
from penpay.ports_rails import SmsGateway

log = structlog.get_logger()

NOTICES_S = 5.0
REWRAP_S = 10.0
SIGN_INS_S = 5.0
RETENTION_S = 300.0
REWRAP_BATCHES_MAX = 50
REINDEX_BATCHES_MAX = 10
NOTICES_MAX = 50
"""Messages of one run."""


class IdentityJobs:
    """The jobs of one node; what one node has begun is passed over by the others."""

    def __init__(self, database: Database, sealer: KeySealer, sms: SmsGateway, clock: Clock, keys: MySqlKeys) -> None:
        self._keys = keys
        self._indexes = MySqlIndexes(database, sealer)
        self._upkeep = MySqlUpkeep(database)
        self._sms = sms
        self._clock = clock
        self._notices = MySqlNotices(database, sealer)

    def periodic(self) -> Sequence[tuple[str, Job, float]]:
        """Name, job, pause."""
        return [
            ("notices", self.send_notices, NOTICES_S),
            ("rewrapping", self.rewrap_keys, REWRAP_S),
            ("reindexing", self.reindex, REWRAP_S),
            ("sign-ins", self.record_sign_ins, SIGN_INS_S),
            ("retention", self.forget_old, RETENTION_S),
        ]

    async def send_notices(self) -> str:
        """Send what is due. Nobody waits for it, and a gateway that is away only postpones it."""
        due = await self._notices.claim(limit=NOTICES_MAX, at=self._clock.now())
        for notice in due:
            outcome = await self._sent(notice)
            if outcome == "given_up":
                log.error("notice_given_up", notice_id=notice.id, kind=notice.kind.value)
            if outcome:
                await self._notices.end(notice.id, outcome, at=self._clock.now())
        return f"{len(due)} tried"

    async def rewrap_keys(self) -> str:
        """Wrap data keys under the field key in use. `0 left behind` says that the former one may go."""
        run = await self._keys.rewrap(batches_max=REWRAP_BATCHES_MAX)
        if run.unreadable:
            log.error("field_key_missing", data_keys=run.unreadable)
        return f"{run.done} wrapped anew, {run.unreadable} left behind"

    async def reindex(self) -> str:
        """Index customers under the key in use. Once no node has anything left behind, the former key finds nobody."""
        run = await self._indexes.reindex(batches_max=REINDEX_BATCHES_MAX)
        return f"{run.done} indexed anew, {run.left} left behind, {'complete' if run.complete else 'going on'}"

    async def record_sign_ins(self) -> str:
        """Bring sign-ins into the chain. Nobody who signs in waits for the lock on its head."""
        return f"{await self._upkeep.record_sign_ins(at=self._clock.now())} recorded"

    async def forget_old(self) -> str:
        """Take away what has had its time."""
        return f"{await self._upkeep.forget_old(at=self._clock.now())} rows gone"

    async def _sent(self, notice: Notice) -> str:
        """How it ended; empty while another try is due later."""
        try:
            await self._sms.send(to=notice.phone, text=notice_text(notice.kind, notice.created_at))
        except Refused as error:
            log.warning("notice_refused", notice_id=notice.id, kind=notice.kind.value, code=error.code)
            return "refused"
        except Unavailable:
            return "given_up" if notice.tries >= TRIES_MAX else ""
        return "sent"
