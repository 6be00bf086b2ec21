"""F84: the database takes no writes: it was made read-only, or its disk is full."""

import asyncio
import contextlib
from collections.abc import Iterator

from tests.faults.stage import Stage
from tests.harness.wire import Wire

KEY = "F084-asks-twice"


@contextlib.contextmanager
def read_only(stage: Stage) -> Iterator[None]:
    """The server refuses every write of an ordinary login, as it does when its disk is full."""
    stage.rows("SET GLOBAL read_only = ON")
    try:
        yield
    finally:
        stage.rows("SET GLOBAL read_only = OFF")


async def test_money_is_refused_and_everything_goes_on_alone_afterwards(wired: tuple[Stage, Wire]) -> None:
    stage, _ = wired
    who, asking = stage.customer(), stage.customer()
    deposit = await stage.deposit(who, phone={"answer_delay_s": 1.0})
    push = await stage.push_of(who)
    with read_only(stage):
        refused = await stage.ask(asking, key=KEY)
        assert refused.status == 503
        # A callback that cannot be stored is not acknowledged.
        told = {"checkout_id": push["checkout_id"], "msisdn": who.msisdn, "amount_kes": stage.amount_of(who)}
        assert await stage.forge(push["callback_url"], **told) >= 500
        await asyncio.sleep(1.5)
        assert stage.state(deposit) in {"STK_SENDING", "AWAITING_PAYER"}
        assert (await stage.told(who)).transfers == []
    # The callback is lost, as Safaricom sends it once: the query or the list of payments tells.
    await stage.reaches(deposit, "COMPLETED", within_s=60)
    assert (await stage.told(who)).counts == (1, 1, 1)
    # What was refused may still be written when the server takes writes again: the same key is safe, and asks once.
    again = await stage.ask(asking, key=KEY)
    assert again.status == 202, again.body
    await stage.reaches(str(again.body["id"]), "COMPLETED", within_s=60)
    assert (await stage.told(asking)).counts == (1, 1, 1)
