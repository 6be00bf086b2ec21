"""Who is told by mail of what, over real rows."""

import json
from datetime import timedelta

import pytest

from actors.base import AskTimeout
from actors.courier import GIVEN_UP, REFUSED, SENT
from penpay.app.mail_jobs import MailJobs
from penpay.messages_rails import MAIL, SendMail
from tests.http.rows import add_transaction
from tests.http.world import Customer, World

SHARD = 3


@pytest.fixture
def jobs(world: World, stores, sealer, module_database) -> MailJobs:
    module_database.rows("DELETE FROM {users}.mail_cursors")
    module_database.rows("DELETE FROM {ledger}.outbox")
    module_database.rows("UPDATE {ledger}.fences SET outbox_seq = 0")
    world.actors.answers[SendMail] = lambda _: SENT
    return MailJobs(stores, sealer, world.actors, world.edge.clock)


async def happened(world: World, module_database, customer: Customer, *, seq: int, **other) -> str:
    """The event that the ledger writes with a transaction as it is now."""
    made = add_transaction(module_database, customer, **other)
    shown = (await customer.call("GET", f"/transactions/{made}")).body
    module_database.rows(
        "INSERT INTO {ledger}.outbox VALUES (%s, %s, 'transactions', %s, 'transaction.updated', %s, %s, NOW(6))",
        (SHARD, seq, f"e{seq}", customer.id, json.dumps(shown)),
    )
    module_database.rows("UPDATE {ledger}.fences SET outbox_seq = %s WHERE name = %s", (seq, f"shard/{SHARD}"))
    return made


def ended(at) -> dict[str, object]:
    return {"state": "COMPLETED", "status": "COMPLETED", "completed_at": at, "updated_at": at}


def mails(world: World) -> list[SendMail]:
    return [message for address, message in world.actors.asked if address == MAIL]


async def test_an_end_is_told_once_to_its_customer(world: World, jobs, module_database, customer: Customer):
    at = world.edge.clock.now()
    await happened(world, module_database, customer, seq=1)
    made = await happened(world, module_database, customer, seq=2, **ended(at))
    later = ended(at) | {"updated_at": at + timedelta(seconds=5)}
    await happened(world, module_database, customer, seq=3, **later)
    for _ in range(3):
        await jobs.tell_ends()
    (mail,) = mails(world)
    assert (mail.to, mail.reference, mail.subject) == (customer.email, "e2", "PenPay: Your deposit is complete")
    assert made in mail.text


@pytest.mark.parametrize("trouble", [GIVEN_UP, AskTimeout("no answer")])
async def test_what_could_not_be_sent_is_tried_again_and_the_rest_too(
    world: World, jobs, module_database, customer: Customer, trouble: object
):
    at = world.edge.clock.now()
    for seq in (1, 2, 3):
        await happened(world, module_database, customer, seq=seq, **ended(at))
    world.actors.answers[SendMail] = lambda mail: trouble if mail.reference == "e2" else SENT
    await jobs.tell_ends()
    world.actors.answers[SendMail] = lambda _: SENT
    await jobs.tell_ends()
    assert [mail.reference for mail in mails(world)] == ["e1", "e2", "e3", "e2", "e3"]
    await jobs.tell_ends()
    assert len(mails(world)) == 5


async def test_a_mailbox_that_does_not_exist_holds_nobody_up(world: World, jobs, module_database, customer: Customer):
    at = world.edge.clock.now()
    for seq in (1, 2):
        await happened(world, module_database, customer, seq=seq, **ended(at))
    world.actors.answers[SendMail] = lambda _: REFUSED
    await jobs.tell_ends()
    await jobs.tell_ends()
    assert len(mails(world)) == 2


async def test_nor_does_a_customer_who_is_gone_or_cannot_be_read(
    world: World, jobs, module_database, customer: Customer
):
    at = world.edge.clock.now()
    await happened(world, module_database, customer, seq=1, **ended(at))
    module_database.rows("UPDATE {users}.users SET email_sealed = name_sealed WHERE id = %s", (customer.id,))
    await jobs.tell_ends()
    module_database.rows("UPDATE {ledger}.fences SET outbox_seq = 2 WHERE name = %s", (f"shard/{SHARD}",))
    module_database.rows(
        "INSERT INTO {ledger}.outbox SELECT shard, 2, stream, 'e9', type, 'nobody', body, created_at"
        " FROM {ledger}.outbox WHERE seq = 1"
    )
    await jobs.tell_ends()
    assert mails(world) == []
    assert await jobs._mails.shards_with_news() == []
