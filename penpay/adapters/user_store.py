"""What admission reads of a user, and the quotes that it locks."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from config.limits import REQUESTS_MAX
from penpay.adapters.batching import Batcher
from penpay.adapters.database import Database
from penpay.adapters.row_shapes import quote_row
from penpay.domain.money import Currency, usd
from penpay.domain.unit import StoredAnswer
from penpay.messages import Quote
from penpay.ports import CodeRequest, Duplicate, OpenDeposit, OpenWithdrawal, UserRows

LOADS_MAX = 64
"""Users that are read together."""
_ENDED = frozenset({"COMPLETED", "FAILED", "REVERSED"})


class MySqlUserStore:
    """`penpay.ports.UserStore` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("admission")
        self._loads: Batcher[tuple[str, str], UserRows] = Batcher(self._load, size=LOADS_MAX, waiting_max=REQUESTS_MAX)

    async def load(self, user_id: str, *, eat_day: str) -> UserRows:
        return await self._loads.put((user_id, eat_day))

    async def _load(self, asked: Sequence[tuple[str, str]]) -> Sequence[UserRows]:
        """Users that wait at the same time are read together; the reads begin after the last of them has asked."""
        users = sorted({user_id for user_id, _ in asked})
        days = sorted({eat_day for _, eat_day in asked})
        status: dict[str, str] = {}
        pushes: dict[str, datetime] = {}
        deposits: defaultdict[str, list[tuple[bool, OpenDeposit]]] = defaultdict(list)
        withdrawals: defaultdict[str, list[OpenWithdrawal]] = defaultdict(list)
        for about, user_id, *columns in await self._database.rows(
            self._queries("users", user_ids=users, eat_days=days)
        ):
            match about:
                case "status":
                    status[user_id] = columns[0]
                case "push":
                    pushes[user_id] = columns[-1]
                case "withdrawal":
                    state, id_, eat_day, usd_minor, *_ = columns
                    mine = OpenWithdrawal(transaction_id=id_, status=state, eat_day=eat_day, usd_minor=usd_minor)
                    withdrawals[user_id].append(mine)
                case _:
                    deposits[user_id].append((about == "open", _open_deposit(*columns)))
        return [
            UserRows(
                status=status.get(user_id, "ACTIVE"),
                deposits=tuple(
                    deposit for is_open, deposit in deposits[user_id] if is_open or deposit.eat_day == eat_day
                ),
                last_push_at=pushes.get(user_id),
                withdrawals=tuple(
                    mine for mine in withdrawals[user_id] if mine.status not in _ENDED or mine.eat_day == eat_day
                ),
            )
            for user_id, eat_day in asked
        ]

    async def answer(self, user_id: str, route: str, key_hash: str) -> StoredAnswer | None:
        query = self._queries("answer", user_id=user_id, route=route, key_hash=key_hash)
        rows = await self._database.rows(query)
        if not rows:
            return None
        owner, route, key_hash, fingerprint, status, location, content_type, sealed_body, transaction_id = rows[0]
        return StoredAnswer(
            user_id=owner,
            route=route,
            key_hash=key_hash,
            fingerprint=fingerprint,
            status=status,
            location=location,
            content_type=content_type,
            sealed_body=sealed_body,
            transaction_id=transaction_id,
        )

    async def add_quote(self, quote: Quote) -> None:
        """Repeating it with the same id changes nothing."""
        query = self._queries(
            "add_quote",
            id=quote.id,
            user_id=quote.user_id,
            direction=quote.direction,
            send_minor=quote.send.minor,
            send_currency=quote.send.currency,
            receive_minor=quote.receive.minor,
            receive_currency=quote.receive.currency,
            mid_rate_e6=quote.mid_rate_e6,
            spread_e6=quote.spread_e6,
            created_at=quote.created_at,
            expires_at=quote.expires_at,
        )
        # The same quote again, after a lost connection, is the one that is already there.
        with suppress(Duplicate):
            await self._database.write(query)

    async def remember_code(self, request_id: str, user_id: str, code: CodeRequest) -> None:
        """Repeating it with the same id changes nothing."""
        query = self._queries(
            "add_code",
            id=request_id,
            user_id=user_id,
            amount_minor=code.amount.minor,
            payee=code.payee,
            asked_at=code.asked_at,
        )
        with suppress(Duplicate):
            await self._database.write(query)

    async def newest_code(self, user_id: str) -> CodeRequest | None:
        """The newest only: each mail makes the codes before it worthless."""
        rows = await self._database.rows(self._queries("newest_code", user_id=user_id))
        return CodeRequest(usd(int(rows[0][0])), rows[0][1], rows[0][2]) if rows else None

    async def quote(self, quote_id: str, user_id: str) -> tuple[Quote, bool] | None:
        """A used quote stays readable: the caller says so to the customer."""
        rows = await self._database.rows(self._queries("quote", id=quote_id, user_id=user_id))
        return quote_row(rows[0]) if rows else None


def _open_deposit(
    state: str, id_: str, eat_day: str, usd_minor: int, send_minor: int, send_currency: str, created_at: datetime
) -> OpenDeposit:
    return OpenDeposit(
        transaction_id=id_,
        state=state,
        eat_day=eat_day,
        usd_minor=usd_minor,
        kes_minor=send_minor if send_currency == Currency.KES else 0,
        created_at=created_at,
    )
