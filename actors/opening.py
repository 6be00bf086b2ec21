"""Books the providers' balances once, as this installation first sees them: no trial balance could agree without."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from actors.base import AsyncioActor, NoSuchActor
from actors.recording import record
from penpay.domain.board import Board
from penpay.domain.errors import Unavailable
from penpay.domain.ledger import AccountCode, Posting
from penpay.domain.money import Currency, Money
from penpay.domain.postings import opening
from penpay.domain.unit import AuditRecord, RejectCode, UnitOfWork
from penpay.messages import UnitRejected
from penpay.ports import Addresses, Clock

log = structlog.get_logger()

SHARD = 0
ACCOUNTS = (
    ("deriv", AccountCode.DERIV_AGENT, Currency.USD),
    ("daraja", AccountCode.MPESA_PAYBILL, Currency.KES),
    ("daraja", AccountCode.MPESA_UTILITY, Currency.KES),
)
"""Which rail waits for which account; the float on the board has the account's name."""


class OpeningActor(AsyncioActor):
    """Until it has booked an account, the account's rail counts as down.

    Booked is what the provider has beyond the books. Nothing is recorded as well: the next start would take what was
    paid meanwhile for an opening balance. A provider that does not tell its balance within `patience_s` is opened
    without one, and the next start looks again: a missing optional call must not stop deposits; `doctor` and
    reconciliation show the gap.
    """

    KIND = "opening"
    LEVEL = 6

    def __init__(
        self,
        *,
        addresses: Addresses,
        board: Board,
        clock: Clock,
        is_booked: Callable[[str], Awaitable[bool]],
        in_the_books: Callable[[AccountCode, Currency], Awaitable[int]],
        every_s: float = 0.25,
        patience_s: float = 30.0,
    ) -> None:
        super().__init__()
        self._addresses = addresses
        self._board = board
        self._clock = clock
        self._is_booked = is_booked
        self._in_the_books = in_the_books
        self._every_s = every_s
        self._patience_s = patience_s
        self._missing = list(ACCOUNTS)
        self._began_s = clock.monotonic_s()

    def observable_state(self) -> Mapping[str, object]:
        """What is still to be booked."""
        return {"missing": [code.value for _, code, _ in self._missing]}

    async def on_start(self) -> None:
        """Looks at once and then often, until all is booked."""
        self.timers.every("look", self._every_s, "look")
        self.actor_ref.tell("look")

    async def on_receive(self, _message: Any) -> None:
        """One look at every account that is missing."""
        try:
            for account in tuple(self._missing):
                if await self._settle(*account):
                    self._missing.remove(account)
        except (Unavailable, NoSuchActor):
            return  # no ledger yet, or not ours: the next look asks again
        self._board.unopened &= {rail for rail, _, _ in self._missing}
        if not self._missing:
            self.timers.cancel("look")

    async def _settle(self, rail: str, code: AccountCode, currency: Currency) -> bool:
        unit_id = f"opening:{code.value}"
        if await self._is_booked(unit_id):
            self._board.untold.discard(code.value)
            return True
        seen = self._board.floats.get(code.value)
        if seen is None:
            return await self._goes_without(rail, code)
        minor = seen.balance_minor - await self._in_the_books(code, currency)
        postings = (opening(SHARD, code, Money(minor, currency)),) if minor else ()
        await self._record(unit_id, code, str(minor), postings)
        log.info("opening_balance_booked", account=code.value, minor=minor)
        return True

    async def _goes_without(self, rail: str, code: AccountCode) -> bool:
        """Whether to wait no longer. Who waited in vain once leaves a note, and the next start is no slower for it."""
        waited_s = self._clock.monotonic_s() - self._began_s
        if waited_s <= self._patience_s / 10:
            return False
        note = f"opening:{code.value}:untold"
        known = await self._is_booked(note)
        if not known and waited_s <= self._patience_s:
            return False
        log.error("opening_balance_unknown", account=code.value, rail=rail)
        self._board.untold.add(code.value)
        if not known:
            await self._record(note, code, "untold", ())
        return True

    async def _record(self, unit_id: str, code: AccountCode, minor: str, postings: tuple[Posting, ...]) -> None:
        audit = AuditRecord(actor="opening", action="ledger.opening", subject=code.value, detail={"minor": minor})
        unit = UnitOfWork(unit_id=unit_id, shard=SHARD, at=self._clock.now(), postings=postings, audit=(audit,))
        answer = await record(self._addresses, unit)
        if isinstance(answer, UnitRejected) and answer.code is not RejectCode.UNIT_DIFFERS:
            raise RuntimeError(f"{unit_id} rejected: {answer.code} {answer.detail}")
