"""When a world that has healed is at rest, and who looks after it until then."""

from dataclasses import replace

import pytest

from penpay.messages_rails import DARAJA_GATE, StopPayouts
from penpay.simulation.door import BROKEN
from penpay.simulation.mail import ForcedCrash
from penpay.simulation.play import BOOT_S
from penpay.simulation.store.rows import StoredTransaction
from penpay.simulation.store.tables import Change
from penpay.simulation.world import ALERT_S, Seed, World
from tests.ledger.house import transaction_row


@pytest.fixture
def world():
    made = World(Seed(1, faults=()))
    yield made
    made.end()


def test_a_deposit_that_failed_and_still_asks_about_a_claim_of_payment_is_waited_for(world):
    asking = transaction_row(state="FAILED")
    for row, rests in ((asking, False), (replace(asking, next_wake_at=None), True)):
        table = world.server.schema.transactions
        world.lookout.committed([Change(table, row.id, None, StoredTransaction(row, 1))])
        assert world.lookout.settled is rests


def test_whoever_asks_a_saga_that_the_dice_break_meanwhile_has_no_answer_and_broke_nothing(world):
    node = world.boot("a")
    assert world.run(BOOT_S, until=lambda: node.ready)

    async def serve(_node):
        raise ForcedCrash("shards/0/sagas/X")

    asked = node.loop.create_task(world.door._any_request(serve))
    assert world.run(1.0, until=asked.done)
    assert asked.result() is BROKEN


def test_somebody_is_on_call_whenever_a_late_result_stops_payouts(world):
    node = world.boot("a")
    assert world.run(BOOT_S, until=lambda: node.ready)
    world.heal()
    gate = node.tree.registry.cell(DARAJA_GATE)

    def stopped():
        return gate.actor.observable_state()["payouts_stopped"]

    for code in ("2001", "21"):
        node.loop.call_soon(gate.ref.tell, StopPayouts(code=code))
        assert world.run(1.0, until=lambda code=code: stopped() == code)
        assert world.run(ALERT_S, until=lambda: not stopped())
