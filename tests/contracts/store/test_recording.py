"""Units of work through the production ledger: what becomes of them on either store."""

from penpay.messages import Committed
from tests.contracts.store.ledgers import ledger
from tests.ledger.house import admitted, paid, stepped


async def test_a_deposit_is_recorded_and_read_back(stage):
    async with ledger(stage) as (process, commit):
        first = admitted()
        payment = paid(first)
        for unit in (first, payment, stepped(payment, state="DERIV_HELD")):
            assert isinstance(await commit(unit), Committed)
        again = await commit(payment)
        assert (again.unit_id, again.replayed) == (payment.unit_id, True)
        rows = await process.sagas.load(first.transaction.row.id)
        assert rows.row.state == "DERIV_HELD"
        assert [operation.state for operation in rows.operations] == ["CONFIRMED", "INTENT"]
        assert rows.operations[0].provider_ref == payment.references[0].ref
    assert [row["seq"] for row in stage.stored("units")] == [1, 2, 3]
