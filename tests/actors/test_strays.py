"""Money that nobody claims: booked once into suspense and shown to a person, whoever finds it first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actors.base import ActorCrashed, AsyncioActorRef
from actors.inbox import InboxActor, InboxTimes
from actors.suspects import Suspects
from penpay.domain.credits import UnmatchedCredit, encode_credit
from penpay.domain.errors import Unavailable
from penpay.domain.money import Currency, Money, kes
from penpay.domain.payments import PullRow, encode_payment
from penpay.domain.strays import Stray, stray_unit
from penpay.domain.suspicion import DELIVERIES_MAX, SUSPECT
from penpay.messages import InboxRow, inbox_of
from tests.actors.house import House
from tests.faults.test_F091_bell_lost_or_rung_twice import Inbox

TEN = Money(1000, Currency.USD)


@pytest.fixture
def house() -> House:
    return House()


def credit_row(house: House, body: bytes = b"") -> InboxRow:
    at = house.clock.now() - timedelta(hours=1)
    found = UnmatchedCredit(transaction_id="77001", amount=TEN, at=at, longcode="Transfer from CR900001")
    return InboxRow(
        id="01J0000000000000000000CRED",
        shard=0,
        kind="credit",
        operation_id="",
        body=body or encode_credit(found),
        trusted_source=True,
        received_at=at,
    )


def payment_row(house: House) -> InboxRow:
    """Shillings that Safaricom lists, and that name no push of ours."""
    payment = PullRow("NOBODYS001", "HELLO", kes(55_500), house.clock.now() - timedelta(hours=1), "4126")
    return replace(credit_row(house), kind="pull", body=encode_payment(payment))


class NobodysInbox(Inbox):
    """Rows without an owner, until they are put aside."""

    async def waiting(self, shard: int, *, older_than: datetime, limit: int) -> Sequence[InboxRow]:
        rows = await super().waiting(shard, older_than=older_than, limit=limit)
        return [row for row in rows if row.id not in self.house.quarantined]

    async def transactions_of(self, operation_ids: object) -> dict[str, str]:
        return {}


def inbox_of_nobody(house: House, store: NobodysInbox) -> AsyncioActorRef:
    return InboxActor.start(
        shard=0,
        addresses=house,
        store=store,
        suspects=Suspects(house),
        clock=house.clock,
        ids=house.ids,
        times=InboxTimes(sweep_s=3600.0),
    )


async def sweep(house: House, row: InboxRow) -> None:
    ref = inbox_of_nobody(house, NobodysInbox(house, [row]))
    await ref.aask("sweep")
    await ref.aask("sweep")
    await ref.shutdown(1)


async def test_it_stands_in_suspense_and_before_a_person(house: House) -> None:
    row = credit_row(house)
    await sweep(house, row)
    (unit,) = house.units.values()
    assert unit.unit_id == "ref:77001"
    assert [posting.key for posting in unit.postings] == ["suspense"]
    assert (house.reviews, house.quarantined) == (["credit_unmatched"], {row.id})
    assert "CR900001" not in str(unit.reviews)


async def test_shillings_of_nobody_stand_there_as_well(house: House) -> None:
    row = payment_row(house)
    await sweep(house, row)
    (unit,) = house.units.values()
    assert (unit.unit_id, [posting.key for posting in unit.postings]) == ("ref:NOBODYS001", ["suspense"])
    assert [(one.kind, one.ref) for one in unit.references] == [("mpesa_receipt", "NOBODYS001")]
    assert [one.evidence["phone_tail"] for one in unit.reviews] == ["126"]
    assert "126" not in str(unit.audit)
    assert (house.reviews, house.quarantined) == (["payment_unmatched"], {row.id})


async def test_what_reconcile_found_first_is_not_booked_again(house: House) -> None:
    stray = Stray(kind="credit", ref="77001", amount=TEN, at="2026-01-01T00:00:00Z")
    house.commit(stray_unit(stray, review_id="R1", now=house.clock.now(), actor="reconcile"))
    row = credit_row(house)
    await sweep(house, row)
    postings = [posting for unit in house.units.values() for posting in unit.postings]
    assert (len(postings), house.reviews, house.quarantined) == (1, ["credit_unmatched"], {row.id})


@pytest.mark.parametrize("kind", ["credit", "pull", "movement"])
async def test_garbage_is_shown_to_a_person_and_books_nothing(house: House, kind: str) -> None:
    row = replace(credit_row(house, b"{}"), kind=kind)
    await sweep(house, row)
    assert not any(unit.postings for unit in house.units.values())
    assert (house.reviews, house.quarantined) == (["evidence_unmatched"], {row.id})


async def test_a_suspect_of_nobody_is_in_hand_before_anything_is_recorded(house: House) -> None:
    """F92: it may be what ends processes, and then there is no saga that could say so."""
    said: list[list[tuple[str, bool]]] = []

    async def on_the_way() -> None:
        said.append(list(house.in_hand))

    house.meanwhile.append(on_the_way)
    row = replace(credit_row(house), suspicion=SUSPECT)
    await sweep(house, row)
    assert (said, house.quarantined) == ([[(row.id, True)]], {row.id})


async def test_a_ledger_that_is_away_is_no_fault_of_a_suspect(house: House) -> None:
    row = replace(credit_row(house), suspicion=SUSPECT)
    house.failing.append(Unavailable("ledger"))
    await sweep(house, row)
    assert house.in_hand == [(row.id, True), (row.id, False), (row.id, True)]
    assert (house.told_to(inbox_of(0)), house.quarantined) == ([], {row.id})


async def test_a_row_over_which_the_inbox_itself_breaks_again_and_again_is_put_aside(house: House) -> None:
    row = credit_row(house)
    store = NobodysInbox(house, [row])
    for _ in range(DELIVERIES_MAX):
        ref = inbox_of_nobody(house, store)
        house.failing.append(ValueError("poison"))
        with pytest.raises((ActorCrashed, ValueError)):
            await ref.aask("sweep")
        await ref.shutdown(1)
        again = inbox_of_nobody(house, store)
        house.failing.append(Unavailable("ledger"))
        await again.aask(house.told_to(inbox_of(0))[-1])
        await again.shutdown(1)
        assert not house.quarantined
        house.failing.clear()
    await sweep(house, store.rows[0])
    assert (house.reviews, house.quarantined) == (["evidence_unmatched"], {row.id})
