"""What admission reads of a user, in memory, and the quotes that it locks."""

from contextlib import suppress

from penpay.domain.money import Currency, usd
from penpay.domain.unit import StoredAnswer, TransactionRow
from penpay.messages import Quote
from penpay.ports import CodeRequest, Duplicate, OpenDeposit, OpenWithdrawal, UserRows
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.rows import CodeRow, StoredQuote
from penpay.simulation.store.schema import Schema

_PROMPTING = frozenset({"STK_SENDING", "AWAITING_PAYER", "STK_UNKNOWN"})
_ENDED = frozenset({"COMPLETED", "FAILED", "REVERSED"})


class MemoryUserStore:
    """`penpay.ports.UserStore`. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def load(self, user_id: str, *, eat_day: str) -> UserRows:
        schema = await self._node.look("users.load")
        mine = [stored.row for stored in schema.transactions.under("user", user_id)]
        status = schema.user_status.get(user_id)
        pushes = [
            attempt.sent_at
            for operation in schema.provider_operations.under("user", user_id)
            if operation.kind == "STK"
            for attempt in schema.rail_attempts.under("operation", operation.id)
        ]
        return UserRows(
            status=status.status if status is not None else "ACTIVE",
            deposits=tuple(
                _open_deposit(row)
                for row in mine
                if row.type == "DEPOSIT" and (row.state in _PROMPTING or (row.counts and row.eat_day == eat_day))
            ),
            last_push_at=max(pushes, default=None),
            withdrawals=tuple(
                _open_withdrawal(row)
                for row in mine
                if row.type == "WITHDRAWAL" and (row.status not in _ENDED or (row.counts and row.eat_day == eat_day))
            ),
        )

    async def answer(self, user_id: str, route: str, key_hash: str) -> StoredAnswer | None:
        schema = await self._node.look("users.answer")
        found = schema.answers.get((user_id, route, key_hash))
        if found is None:
            return None
        return StoredAnswer(
            user_id=found.user_id,
            route=found.route,
            key_hash=found.key_hash,
            fingerprint=found.fingerprint,
            status=found.status,
            location=found.location,
            content_type=found.content_type,
            sealed_body=found.sealed_body,
            transaction_id=found.transaction_id,
        )

    async def add_quote(self, quote: Quote) -> None:
        """Repeating it with the same id changes nothing."""
        row = StoredQuote(quote)
        with suppress(Duplicate):
            await self._node.write("users.add_quote", lambda changes: self._schema.quotes.insert(row, changes))

    async def remember_code(self, request_id: str, user_id: str, code: CodeRequest) -> None:
        """Repeating it with the same id changes nothing."""
        row = CodeRow(request_id, user_id, code.amount.minor, code.payee, code.asked_at)
        with suppress(Duplicate):
            await self._node.write(
                "users.remember_code", lambda changes: self._schema.withdrawal_codes.insert(row, changes)
            )

    async def newest_code(self, user_id: str) -> CodeRequest | None:
        """The newest only: each mail makes the codes before it worthless."""
        schema = await self._node.look("users.newest_code")
        found = max(schema.withdrawal_codes.under("user", user_id), default=None)
        return CodeRequest(usd(found.amount_minor), found.payee, found.asked_at) if found is not None else None

    async def quote(self, quote_id: str, user_id: str) -> tuple[Quote, bool] | None:
        """A used quote stays readable: the caller says so to the customer."""
        schema = await self._node.look("users.quote")
        found = schema.quotes.get(quote_id)
        if found is None or found.quote.user_id != user_id:
            return None
        return found.quote, schema.transactions.holder("uq_transactions_quote", quote_id) is not None

    @property
    def _schema(self) -> Schema:
        return self._node.server.schema


def _open_deposit(row: TransactionRow) -> OpenDeposit:
    return OpenDeposit(
        transaction_id=row.id,
        state=row.state,
        eat_day=row.eat_day,
        usd_minor=row.receive.minor,
        kes_minor=row.send.minor if row.send.currency == Currency.KES else 0,
        created_at=row.created_at,
    )


def _open_withdrawal(row: TransactionRow) -> OpenWithdrawal:
    return OpenWithdrawal(transaction_id=row.id, status=row.status, eat_day=row.eat_day, usd_minor=row.send.minor)
