"""Which key a refused batch names, and that nothing of it stays.

Each row changes one thing of a batch that would be right: a unit that takes what is taken, or a belief of the ledger
that is out of date.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from penpay.domain.errors import StoreError
from penpay.domain.ledger import Phase, Posting
from penpay.domain.unit import ProviderReference, ReviewOpened, UnitOfWork
from penpay.ports import Duplicate
from penpay.ports_ledger import Heads, LedgerBatch, TransactionHead, Wanted
from tests.contracts.store.planning import Known, owner_of, planned, recorded
from tests.contracts.store.units import begun
from tests.ledger.house import answer, event, fresh_id, paid, plain, stepped, transaction_row

FIRST = begun(transaction_row(quote_id=fresh_id()))
PAID = paid(FIRST)
ROW = FIRST.transaction.row
OTHER = "x:1"
CUSTOMER = f"00:customer:KES:{ROW.user_id}"
ACCOUNTS = {"00:mpesa_paybill:KES": (130_100, 2), CUSTOMER: (0, 2), "00:deriv_out:KES": (-130_000, 1)}
REVIEW = ReviewOpened(
    id=fresh_id(), transaction_id="", operation_id="", kind="k", reason="r", owner_role="OPS", due_at=FIRST.at
)
HEAD = TransactionHead(2, 3, frozenset({"paid", "hold"}), frozenset({"hold"}))


@dataclass(frozen=True)
class Case:
    """A unit, what its ledger believes, and what the database must say."""

    error: str
    unit: UnitOfWork
    accounts: dict[str, tuple[int, int]] | None = None
    head: TransactionHead | None = None
    heads: Callable[[Heads], Heads] = lambda heads: heads
    spoil: Callable[[LedgerBatch], object] = lambda batch: None

    def batch(self, store: Any, fence: Any) -> LedgerBatch:
        known = Known(ACCOUNTS if self.accounts is None else self.accounts)
        if self.head is not None:
            known.transactions[ROW.id] = self.head
        made = planned(store, fence, [self.unit], heads=self.heads(fence.heads), known=known)
        self.spoil(made)
        return made


def again(**changes: object) -> UnitOfWork:
    """The first unit of another deposit."""
    row = transaction_row(**changes)
    return begun(row, unit_id=f"{row.id}:1")


def voided() -> UnitOfWork:
    hold = next(posting for posting in PAID.postings if posting.key == "hold")
    entries = tuple(replace(entry, amount_minor=-entry.amount_minor) for entry in hold.entries)
    return stepped(PAID, state="DERIV_HELD", postings=(Posting("void", Phase.VOID, entries, "hold"),))


def opened_again(unit: UnitOfWork, key: str) -> UnitOfWork:
    (posting,) = unit.postings
    return replace(unit, postings=(replace(posting, key=key, phase=Phase.POSTED, resolves=""),))


CASES = {
    "a unit": Case("units.PRIMARY", FIRST),
    "a transaction": Case("transactions.PRIMARY", replace(begun(ROW), unit_id=OTHER)),
    "a request": Case("transactions.uq_transactions_request", again(user_id=ROW.user_id, key_hash=ROW.key_hash)),
    "a quote": Case("transactions.uq_transactions_quote", again(quote_id=ROW.quote_id)),
    "a request before a quote": Case(
        "transactions.uq_transactions_request",
        again(user_id=ROW.user_id, key_hash=ROW.key_hash, quote_id=ROW.quote_id),
    ),
    "an answer": Case("answers.PRIMARY", replace(plain(), answer=answer(ROW))),
    "a reference": Case(
        "provider_references.PRIMARY",
        replace(
            plain(),
            references=(ProviderReference(kind="mpesa_receipt", ref=PAID.references[0].ref, operation_id="another"),),
        ),
    ),
    "an account": Case("accounts.PRIMARY", plain(), accounts={}),
    "a place in the journal": Case("postings.PRIMARY", plain(), heads=lambda heads: replace(heads, chain_seq=0)),
    "a posting of a transaction": Case(
        "postings.uq_postings_key", opened_again(voided(), "paid"), head=replace(HEAD, posting_keys=frozenset())
    ),
    "an account's version": Case(
        "ledger_entries.uq_entries_version",
        plain(user_id=ROW.user_id),
        accounts=ACCOUNTS | {CUSTOMER: (0, 1)},
    ),
    "a place in a history": Case(
        "transaction_events.PRIMARY", stepped(PAID, state="S"), head=replace(HEAD, event_count=2)
    ),
    "an operation": Case("provider_operations.PRIMARY", begun(new_operations=FIRST.new_operations)),
    "a place in the outbox": Case(
        "outbox.PRIMARY", replace(plain(), outbox=(event(ROW),)), heads=lambda heads: replace(heads, outbox_seq=0)
    ),
    "a place in the audit": Case(
        "audit_log.PRIMARY", replace(plain(), audit=FIRST.audit), heads=lambda heads: replace(heads, audit_seq=0)
    ),
    "a question": Case("review_items.PRIMARY", replace(plain(), reviews=(REVIEW,))),
}


@pytest.fixture
async def house(stage):
    process = await owner_of(stage)
    asked = replace(plain(), reviews=(REVIEW,))
    fence = await recorded(process, FIRST, PAID, asked)
    return stage, process, fence


async def refused(process: Any, case: Case) -> StoreError:
    async def tried() -> None:
        async with process.ledger.transaction(0) as transaction:
            fence, _ = await transaction.open(Wanted())
            await transaction.commit(case.batch(process.ledger, fence))

    with pytest.raises(StoreError) as caught:
        await tried()
    return caught.value


TABLES = ("units", "transactions", "accounts", "postings", "ledger_entries", "outbox", "audit_log", "fences")


@pytest.mark.parametrize("name", CASES)
async def test_what_is_taken_is_named(house, name):
    stage, process, _ = house
    before = {table: stage.stored(table) for table in TABLES}
    error = await refused(process, CASES[name])
    assert isinstance(error, Duplicate)
    assert error.key == CASES[name].error
    assert {table: stage.stored(table) for table in TABLES} == before
    await recorded(process, plain())
