"""Names under which M-Pesa knows the receivers of payouts: found in its results, compared, and kept sealed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.kyc_store import take_snapshot
from penpay.adapters.mysql import Connection
from penpay.adapters.row_shapes import inbox_aad
from penpay.domain.errors import BadInput
from penpay.domain.kyc import Reason, name_score, payee_matches, payee_name
from penpay.domain.mpesa_callbacks import parse_result
from penpay.ports import Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class PayeeName:
    """A name that M-Pesa told. `id` is the row of the result that told it, so that each is looked at once."""

    id: str
    user_id: str
    shard: int
    operation_id: str
    told_at: datetime
    score: int
    matched: bool
    former_score: int | None
    """Of the name before; None for the first."""
    name: str = field(repr=False)
    data_key: bytes = field(repr=False)


class MySqlPayeeNames:
    """Names of payees in `penpay_users`. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("payees")
        self._users = database.queries("users")
        self._kyc = database.queries("kyc")

    async def told(self, transaction_id: str) -> Sequence[PayeeName]:
        """Names of a transaction's payouts that were not kept yet. Results without a name tell nothing."""
        found = []
        for row in await self._database.rows(self._queries("told", transaction_id=transaction_id)):
            id_, operation_id, body, received_at, user_id, shard, name_sealed, data_key = row
            name = self._name_in(id_, body)
            if not name:
                continue
            aad = f"users|name_sealed|{user_id}"
            ours = self._sealer.open(name_sealed, aad=aad, user_id=user_id, data_key=data_key).decode()
            former = await self._database.rows(self._queries("newest", user_id=user_id))
            found.append(
                PayeeName(
                    id=id_,
                    user_id=user_id,
                    shard=shard,
                    operation_id=operation_id,
                    told_at=received_at,
                    score=name_score(ours, name),
                    matched=payee_matches(ours, name),
                    former_score=former[0][0] if former else None,
                    name=name,
                    data_key=data_key,
                )
            )
        return found

    def _name_in(self, inbox_id: str, sealed_body: bytes) -> str:
        """Empty when the body tells none; what it says about money is the saga's to judge, and was judged."""
        try:
            result = parse_result(self._sealer.open(sealed_body, aad=inbox_aad(inbox_id)))
        except (BadInput, ValueError):
            return ""
        if result.result_code != "0":
            return ""
        return payee_name(result.receiver)

    async def keep(self, told: PayeeName) -> None:
        """Store the name, and a version of what is known when it says something new. Repeating it changes nothing."""
        sealed = self._sealer.seal(
            told.name.encode(),
            aad=f"name_matches|name_sealed|{told.id}",
            user_id=told.user_id,
            data_key=told.data_key,
        )
        match = self._kyc(
            "add_match",
            id=told.id,
            user_id=told.user_id,
            rail="mpesa",
            reference=told.operation_id,
            score=told.score,
            matched=told.matched,
            name_sealed=sealed,
            at=told.told_at,
        )

        async def work(connection: Connection) -> None:
            if not await connection.rows(self._users("lock_user", user_id=told.user_id)):
                return
            await connection.query(match)
            if told.score != told.former_score:
                await take_snapshot(connection, self._kyc, told.user_id, Reason.PAYEE_NAMED, at=told.told_at)

        await self._database.transact(work)
