"""What the rails' rows look like in the database. How they behave is in tests/contracts/store."""

from datetime import UTC, datetime

from penpay.adapters.attempt_store import MySqlAttemptStore
from penpay.ports import AttemptEnd
from tests.ledger.house import CountedIds, SystemClock, admitted, opened, sealer

BODY = b'{"phone":"254712345678"}'


async def test_what_a_provider_said_is_sealed_to_its_attempt(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        attempts = MySqlAttemptStore(ledger.database, sealer(), clock=SystemClock(), ids=CountedIds())
        epoch = (await ledger.leases.acquire("rail/daraja")).epoch
        unit = admitted()
        operation_id = unit.new_operations[0].id
        await ledger.commit(unit)
        await attempts.begin("daraja", epoch, operation_id, watermark={})
        end = AttemptEnd(
            operation_id=operation_id, attempt=1, kind="STK", outcome="CONFIRMED", at=datetime.now(UTC), body=BODY
        )
        row = await attempts.end("daraja", epoch, end, shard=0, transaction_id="")
    ((stored,),) = database.rows("SELECT sealed_body FROM {ledger}.rail_attempts")
    assert sealer().open(stored, aad=f"rail_attempts|sealed_body|{operation_id}|1") == BODY
    ((evidence,),) = database.rows("SELECT sealed_body FROM {ledger}.callback_inbox")
    assert sealer().open(evidence, aad=f"callback_inbox|sealed_body|{row.id}") == row.body
    assert operation_id.encode() not in evidence
