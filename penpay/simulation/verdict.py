"""What must be true when a world has come to rest: truth and books say the same, and nobody was lied to."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from penpay.domain.fx import Direction
from penpay.domain.ids import ulid_from_bytes
from penpay.domain.review_kinds import HOLDING
from penpay.domain.statement import description
from penpay.domain.unit import TransactionRow
from penpay.simulation.belated import SOMEBODY
from penpay.simulation.books.sagas import holds
from penpay.simulation.books.sweep import sweep
from penpay.simulation.lookout import Failure
from penpay.simulation.scale import scaled
from penpay.simulation.truth import Payment, Push, Transfer, Truth

if TYPE_CHECKING:
    from penpay.simulation.store.rows import StoredOperation
    from penpay.simulation.world import World


IN_TIME_S = scaled(500.0)
"""Of the ten minutes, as far as clocks that are wrong cannot matter."""
PAYABLE_S = scaled(120.0)
"""So long no word but a callback's says that a push will not be paid: its prompt may still be on a phone."""
CALLS_END = timedelta(seconds=90)
"""Longer than the longest call to a provider takes, with its time-out."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What the rails did for one transaction. Minor units."""

    payments: Sequence[Payment]
    """Shillings in."""
    transfers: Sequence[Transfer]
    """Dollars to the customer."""
    debits: Sequence[Transfer]
    """Dollars from the customer."""
    payouts_minor: Sequence[int]
    """Shillings out."""

    @property
    def given_back(self) -> int:
        """Payments that were reversed."""
        return sum(bool(payment.reversed_by) for payment in self.payments)

    def __str__(self) -> str:
        return (
            f"{len(self.payments)} payments, {self.given_back} given back, {len(self.debits)} debits, "
            f"{len(self.transfers)} transfers, {len(self.payouts_minor)} payouts"
        )


def effects_of(operations: Sequence["StoredOperation"], truth: Truth) -> Effects:
    """By the references that only these operations carry."""
    references = {one.reference for one in operations if one.kind == "STK"}
    sent = {description(one.reference) for one in operations if one.kind in {"DERIV_TRANSFER", "DERIV_RETURN"}}
    taken = {description(one.reference) for one in operations if one.kind == "DERIV_WITHDRAW"}
    payouts = {one.id for one in operations if one.kind == "B2C"}
    return Effects(
        payments=[one for one in truth.payments.values() if one.reference in references],
        transfers=[one for one in truth.transfers if one.description in sent],
        debits=[one for one in truth.transfers if one.description in taken],
        payouts_minor=[
            one.amount_minor
            for one in truth.payouts.values()
            if one.code == "0" and _operation_of(one.originator_id) in payouts
        ],
    )


def _operation_of(originator_id: str) -> str:
    return ulid_from_bytes(bytes.fromhex(originator_id.replace("-", "")))


def _theirs(row: TransactionRow, did: Effects) -> Sequence[Transfer]:
    """Dollars that the customer got, as far as anybody was told: not those that a reply gave to somebody else."""
    data = json.loads(row.data)
    believed = {str(one[0]) for one in data.get("delivered", ())}
    told = {data.get("misdirected_transaction_id", ""), *data.get("earlier_transaction_ids", ())} - believed
    return [one for one in did.transfers if one.payee != SOMEBODY or str(one.id) not in told]


def too_much(row: TransactionRow, did: Effects) -> Iterator[str]:
    """What must never have happened, whatever is still open."""
    theirs = _theirs(row, did)
    sent = [one for one in theirs if not one.after_all]
    if row.type == Direction.DEPOSIT:
        if len(sent) > len(did.payments):
            yield f"{row.id} was credited {len(sent)} times for {len(did.payments)} payments"
        if sent and did.given_back:
            yield f"{row.id} was credited and given back"
    elif len(did.payouts_minor) + len(theirs) > len(did.debits):
        yield f"{row.id}: {did}"
    asked = (row.deriv_loginid, (row.receive if row.type == Direction.DEPOSIT else row.send).minor)
    wrong = [one for one in sent if one.payee != SOMEBODY and (one.payee, one.asked_minor) != asked]
    if wrong:
        yield f"{row.id} sent {wrong[0]}"
    odd = [one for one in (*did.transfers, *did.debits) if one.is_odd]
    if odd and (row.state == "COMPLETED" or did.payouts_minor):
        yield f"{row.id} went on with another amount: {odd[0]}"


_ENDS: Mapping[tuple[str, str], tuple[int, int, int, int, int]] = {
    # state: payments, given back, debits, transfers, payouts
    (Direction.DEPOSIT, "COMPLETED"): (1, 0, 0, 1, 0),
    (Direction.DEPOSIT, "REVERSED"): (1, 1, 0, 0, 0),
    (Direction.DEPOSIT, "FAILED"): (0, 0, 0, 0, 0),
    (Direction.WITHDRAWAL, "COMPLETED"): (0, 0, 1, 0, 1),
    (Direction.WITHDRAWAL, "REVERSED"): (0, 0, 1, 1, 0),
    (Direction.WITHDRAWAL, "FAILED"): (0, 0, 0, 0, 0),
}


def ends(row: TransactionRow, did: Effects) -> Iterator[str]:
    """A final state says exactly what happened."""
    if any(one.after_all for one in did.transfers):
        return  # no state tells of both ways, and people were asked
    expected, theirs = _ENDS.get((row.type, row.state)), _theirs(row, did)
    happened = (
        len(did.payments),
        did.given_back,
        len(did.debits),
        len(theirs),
        len(did.payouts_minor),
    )
    if expected is not None and happened != expected:
        yield f"{row.id} is {row.state}, the rails say {did}, {len(theirs)} of the transfers to its customer"


def denied(world: "World", transaction_id: str, did: Effects) -> Iterator[str]:
    """Whoever paid, or could and did, and was told that they had not. That it is found later makes it no better."""
    for failure in world.lookout.failures[transaction_id]:
        for payment in did.payments:
            push = world.truth.pushes[payment.checkout_id]
            # Where a clock has jumped, nobody knows how old a push is; what was paid can be seen all the same.
            open_s = push.at_s + PAYABLE_S if failure.at_s < world.jumped_s else 0.0
            seen_s = _seen_s(world.truth, push, failure)
            if payment.at_s <= max(open_s, seen_s) and not _called_back(push, failure):
                paid = f"was paid after {payment.at_s - push.at_s:.1f} s"
                yield f"{transaction_id} {paid}, and failed by {failure.event} after {failure.at_s - push.at_s:.1f} s"


def _seen_s(truth: Truth, push: Push, failure: Failure) -> float:
    """Up to when whoever said so could see payments: a node may stand still between the answer and its commit."""
    match failure.event:
        case "MpesaRefused":
            return max((at_s for at_s in push.refused_s if at_s <= failure.at_s), default=0.0)
        case "PullClean":
            return next((upto_s for at_s, upto_s in reversed(truth.lists) if at_s <= failure.at_s), 0.0)
        case _:
            return failure.at_s


def _called_back(push: Push, failure: Failure) -> bool:
    """Safaricom itself had posted that nobody would pay: a callback is final, and no query spoke the last word."""
    return push.denied and failure.event == "MpesaRefused" and '"query"' not in failure.data


def verdict(world: "World") -> list[str]:
    """Everything that is wrong, one line each."""
    looks: Sequence[Callable[[World], Iterator[str]]]
    if world.given_up:
        looks = (_invariants, _mail, _crashes)
    else:
        looks = (_invariants, _open, _attempts, _truth, _payments, _sums, _people, _evidence, _streams, _mail, _crashes)
    return [line for look in looks for line in look(world)]


def _invariants(world: "World") -> Iterator[str]:
    """What each commit broke, and what all rows together break."""
    yield from (f"{broken.name} was broken by a commit: {broken.key}" for broken in world.books.broken)
    yield from (f"{name} is broken: {keys}" for name, keys in sweep(world.server).items())


def _operations(world: "World") -> Mapping[str, list["StoredOperation"]]:
    found: dict[str, list[StoredOperation]] = defaultdict(list)
    for operation in world.server.schema.provider_operations:
        found[operation.transaction_id].append(operation)
    return found


def _open(world: "World") -> Iterator[str]:
    """Liveness: final, or in front of a person with an open question; and none is open that nobody could answer."""
    questions = {item.transaction_id for item in world.server.schema.review_items if holds(item)}
    reviewed = {stored.row.id for stored in world.server.schema.transactions if stored.row.state == "IN_REVIEW"}
    yield from (f"{id_} is not IN_REVIEW, and a question says that it is" for id_ in sorted(questions - reviewed))
    for stored in world.server.schema.transactions:
        row = stored.row
        if row.id in world.lookout.open:
            yield f"{row.id} is still {row.state}"
        if row.state == "IN_REVIEW" and row.id not in questions:
            yield f"{row.id} is IN_REVIEW without an open question"
    if world.staffed:
        alone = (one for one in world.server.schema.review_items if one.closed_at is None and not holds(one))
        yield from (f"nobody closed {one.kind} about {one.transaction_id or 'nobody'}" for one in alone)
    for evidence in sorted(world.lookout.waiting):
        yield f"evidence {evidence} was never consumed"


def _attempts(world: "World") -> Iterator[str]:
    """What a rail began has an end, whoever gave it: a call takes seconds. Clocks that jump tell no age."""
    since = world.clock.now() - CALLS_END
    if world.odds.reached["node.clock_jumps"]:
        return
    for attempt in world.server.schema.rail_attempts:
        if attempt.ended_at is None and attempt.sent_at < since:
            yield f"attempt {attempt.attempt} of {attempt.operation_id} has no end"


def _truth(world: "World") -> Iterator[str]:
    operations = _operations(world)
    for stored in world.server.schema.transactions:
        did = effects_of(operations.get(stored.row.id, ()), world.truth)
        yield from too_much(stored.row, did)
        yield from ends(stored.row, did)
        yield from _in_time(world, stored.row, did)
        yield from _by_its_payer(world, stored.row, did)
        yield from denied(world, stored.row.id, did)
        yield from _after_all(world, stored.row, did)
    known = {one.reference for one in world.server.schema.provider_operations}
    for payment in world.truth.payments.values():
        if payment.reference not in known:
            yield f"nobody's payment {payment}"


def _after_all(world: "World", row: TransactionRow, did: Effects) -> Iterator[str]:
    """Dollars that left when they had been given up are in the books of whoever was told, and people know of them."""
    questions = [one for one in world.server.schema.review_items if one.transaction_id == row.id]
    words = " ".join(f"{one.reason} {one.evidence}" for one in questions)
    for one in did.transfers:
        if one.after_all and _is_told(world, one) and str(one.id) not in words:
            yield f"{row.id} sent {one} after all, and nobody was asked"


def _is_told(world: "World", sent: Transfer) -> bool:
    """Whether the reply reached somebody: an actor that broke meanwhile has forgotten whom to tell."""
    return world.server.schema.provider_references.get(("deriv_transaction", str(sent.id))) is not None


def _by_its_payer(world: "World", row: TransactionRow, did: Effects) -> Iterator[str]:
    """What somebody else paid is never simply credited: a callback or the list shows it, and people are asked."""
    if row.type != Direction.DEPOSIT or row.state != "COMPLETED":
        return
    asked = {one.kind for one in world.server.schema.review_items if one.transaction_id == row.id}
    for payment in did.payments:
        if payment.phone != world.truth.pushes[payment.checkout_id].phone and not asked & HOLDING:
            yield f"{row.id} was completed with {payment.receipt} of another phone, and nobody was asked"


def _in_time(world: "World", row: TransactionRow, did: Effects) -> Iterator[str]:
    """Whoever paid in time is not given back for being late, when clocks differ by no more than they usually do."""
    if row.failure_code != "paid_late" or world.odds.reached["node.clock_jumps"]:
        return
    for payment in did.payments:
        took_s = payment.at_s - world.truth.pushes[payment.checkout_id].at_s
        if took_s < IN_TIME_S:
            yield f"{row.id} was paid after {took_s:.1f} s and called late"


def _payments(world: "World") -> Iterator[str]:
    """Every payment is in the books by its receipt, and not only as a sum."""
    yield from (f"{receipt} is in no booking" for receipt in world.lookout.unbooked)


def _sums(world: "World") -> Iterator[str]:
    """What stands at the providers is what the books say, when nothing is in front of a person."""
    schema, truth = world.server.schema, world.truth
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for account in schema.accounts:
        sums[account.code, account.currency] += account.balance_minor
    for currency in ("KES", "USD"):
        total = sum(minor for (_, of), minor in sums.items() if of == currency)
        if total:
            yield f"the books do not balance: {total} {currency}"
    if any(stored.row.state == "IN_REVIEW" for stored in schema.transactions):
        return
    agent = next(account for account in truth.accounts.values() if account.loginid.startswith("CR9"))
    untold_minor = sum(one.amount_minor for one in truth.transfers if one.after_all and not _is_told(world, one))
    for name, booked, real in (
        ("mpesa_paybill", sums["mpesa_paybill", "KES"], truth.paybill_minor),
        ("mpesa_utility", sums["mpesa_utility", "KES"], truth.utility_minor),
        ("deriv_agent", sums["deriv_agent", "USD"], agent.balance_minor + untold_minor),
    ):
        if booked != real:
            yield f"{name} is {booked} in the books and {real} in truth"
    for (code, currency), minor in sums.items():
        if minor and code in {"customer", "deriv_out", "deriv_in", "b2c_out", "refund_out"}:
            yield f"{minor} {currency} are left on {code}"


def _people(world: "World") -> Iterator[str]:
    """Every 202 has its row, and the same key the same answer."""
    ids = {stored.row.id for stored in world.server.schema.transactions}
    for key, transaction_id in world.town.accepted.items():
        if transaction_id not in ids:
            yield f"{key} was accepted as {transaction_id}, which is not there"
    for who in world.people:
        for key, heard in who.heard.items():
            firm = {told for told in heard if told.status not in {0, 503} and b"request_in_progress" not in told.body}
            if len(firm) > 1:
                yield f"{key} was answered differently: {sorted(told.status for told in firm)}"


def _evidence(world: "World") -> Iterator[str]:
    """One body for one operation is one row, however often it was posted."""
    seen: set[tuple[str, str, bytes]] = set()
    for stored in world.server.schema.callback_inbox:
        row = stored.row
        key = row.kind, row.operation_id, row.body
        if key in seen:
            yield f"the same {row.kind} is two pieces of evidence: {row.id}"
        seen.add(key)


def _streams(world: "World") -> Iterator[str]:
    """Every event of the outbox was published, in order."""
    yield from world.streams.gaps
    for entry in world.server.schema.outbox:
        if world.streams.seen.get(entry.shard, {}).get(entry.seq) != entry.event_id:
            yield f"event {entry.shard}-{entry.seq} was never published"


def _mail(world: "World") -> Iterator[str]:
    """What waited for an actor that broke was there for the next incarnation."""
    yield from world.mail.lost()


def _crashes(world: "World") -> Iterator[str]:
    """No actor broke by itself."""
    for where, error in world.universe.complaints:
        if error is not None:
            yield f"{where}: {error!r}"
