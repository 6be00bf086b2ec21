"""F76: dollars times the rate is not a whole number of shillings."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.fx import Direction, LockedRate, exchange
from tests.faults.stage import Stage
from tests.faults.withdrawing import withdrawer

E6 = 1_000_000


@given(
    cents=st.integers(500, 100_000),
    mid=st.integers(100 * E6, 160 * E6),
    spread=st.integers(0, 5 * E6),
)
def test_whole_shillings_are_paid_and_the_rest_is_booked(cents: int, mid: int, spread: int) -> None:
    shillings = cents * (mid - spread) // E6 // 100
    split = exchange(kes_minor=shillings * 100, usd_minor=cents, rate=LockedRate(Direction.WITHDRAWAL, mid, spread))
    assert split.kes_minor % 100 == 0
    assert split.kes_minor + split.spread_minor + split.rounding_minor == split.position_minor
    # Less than a shilling and the two cents of the floors stay with us, and never more is paid than it is worth.
    assert 0 <= split.rounding_minor <= 101


async def test_the_phone_gets_whole_shillings_and_the_books_the_rest(stage: Stage) -> None:
    crowd = [await withdrawer(stage) for _ in range(3)]
    withdrawals = await asyncio.gather(*(who.withdraw() for who in crowd))
    for who, withdrawal in zip(crowd, withdrawals, strict=True):
        await stage.reaches(withdrawal, "COMPLETED")
        ((receive_minor,),) = stage.rows("SELECT receive_minor FROM {ledger}.transactions WHERE id = %s", withdrawal)
        (payout,) = (await who.told()).paid
        assert payout["amount_minor"] == receive_minor
        assert payout["amount_minor"] % 100 == 0
        ((in_all,),) = stage.rows(
            "SELECT CAST(SUM(e.amount_minor) AS SIGNED) FROM {ledger}.postings p"
            " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
            " WHERE p.transaction_id = %s AND p.posting_key = 'payout_done' AND a.currency = 'KES'",
            withdrawal,
        )
        assert in_all == 0
