"""The judge: what the rails say happened, beside what the books say, transaction by transaction."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penpay.demo.proof import trial_balance
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation

SETTLED = frozenset({"COMPLETED", "REVERSED", "FAILED", "IN_REVIEW"})


@dataclass(frozen=True, slots=True)
class Fate:
    """One transaction as the books have it, with the references that the rails were given."""

    id: str
    state: str
    loginid: str
    send_minor: int
    receive_minor: int
    pushes: frozenset[str]
    transfers: frozenset[str]


def rows(installation: PrivateInstallation, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Read the books as admin, without going through the node."""
    with installation.mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement.replace("{ledger}", "penpay_ledger"), values)
        return list(cursor.fetchall())


def states(installation: PrivateInstallation) -> Counter[str]:
    """How many transactions stand in which state."""
    return Counter(dict(rows(installation, "SELECT state, COUNT(*) FROM {ledger}.transactions GROUP BY state")))


async def settled(installation: PrivateInstallation, *, within_s: float) -> Counter[str]:
    """Wait until no transaction is open and no evidence waits any more."""
    deadline = time.monotonic() + within_s
    while True:
        ((waiting,),) = rows(installation, "SELECT COUNT(*) FROM {ledger}.callback_inbox WHERE status = 'NEW'")
        found = states(installation)
        if found.keys() <= SETTLED and not waiting:
            return found
        assert time.monotonic() < deadline, f"after {within_s} s: {dict(found)}\n{_stragglers(installation)}"
        await asyncio.sleep(0.2)


def _stragglers(installation: PrivateInstallation) -> str:
    found = rows(
        installation,
        "SELECT id, state, version, next_wake_at, data FROM {ledger}.transactions"
        " WHERE state NOT IN ('COMPLETED', 'REVERSED', 'FAILED', 'IN_REVIEW') LIMIT 5",
    )
    return "\n".join(str(row) for row in found)


def fates(installation: PrivateInstallation) -> list[Fate]:
    """Every transaction of the books."""
    references: dict[str, dict[str, set[str]]] = {}
    for transaction_id, kind, reference in rows(
        installation, "SELECT transaction_id, kind, reference FROM {ledger}.provider_operations"
    ):
        references.setdefault(transaction_id, {}).setdefault(kind, set()).add(reference)
    return [
        Fate(
            id=id_,
            state=state,
            loginid=loginid,
            send_minor=send,
            receive_minor=receive,
            pushes=frozenset(references.get(id_, {}).get("STK", ())),
            transfers=frozenset(f"PP-{one}" for one in references.get(id_, {}).get("DERIV_TRANSFER", ())),
        )
        for id_, state, loginid, send, receive in rows(
            installation,
            "SELECT id, state, deriv_loginid, send_minor, receive_minor FROM {ledger}.transactions ORDER BY id",
        )
    ]


def wrongs(found: Sequence[Fate], truth: Mapping[str, Any], *, reviewed: Collection[str] = ()) -> list[str]:
    """What the rails and the books disagree about, one line each."""
    payments: dict[str, list[Any]] = {}
    for payment in truth["payments"]:
        payments.setdefault(payment["reference"], []).append(payment)
    transfers: dict[str, list[Any]] = {}
    for transfer in truth["transfers"]:
        transfers.setdefault(transfer["description"], []).append(transfer)
    wrong = []
    for fate in found:
        paid = [payment for reference in fate.pushes for payment in payments.pop(reference, ())]
        sent = [transfer for reference in fate.transfers for transfer in transfers.pop(reference, ())]
        end = "IN_REVIEW" if fate.id in reviewed and len(paid) == 1 and not sent else _end(paid, sent)
        if end != fate.state:
            wrong.append(f"{fate.id} is {fate.state}, the rails say {end}: {paid} {sent}")
        if sent and (sent[0]["to_loginid"], sent[0]["amount_minor"]) != (fate.loginid, fate.receive_minor):
            wrong.append(f"{fate.id} credited {sent[0]}")
    wrong += [f"nobody's payment {payment}" for group in payments.values() for payment in group]
    wrong += [f"nobody's transfer {transfer}" for group in transfers.values() for transfer in group]
    return wrong


def overdue_refunds(installation: PrivateInstallation) -> set[str]:
    """Refunds of which nobody can say whether they happened, as it must be: acknowledged never, result lost."""
    found = rows(
        installation,
        "SELECT r.transaction_id FROM {ledger}.review_items r"
        " JOIN {ledger}.provider_operations o ON o.transaction_id = r.transaction_id AND o.kind = 'REVERSAL'"
        " WHERE r.kind = 'refund_overdue' AND r.closed_at IS NULL AND o.state IN ('UNKNOWN', 'SENT')",
    )
    return {transaction_id for (transaction_id,) in found}


def _end(paid: Sequence[Any], sent: Sequence[Any]) -> str:
    """Where a transaction belongs, judged by the rails alone."""
    match len(paid), len(sent), sum(bool(payment["reversed_by"]) for payment in paid):
        case 0, 0, 0:
            return "FAILED"
        case 1, 1, 0:
            return "COMPLETED"
        case 1, 0, 1:
            return "REVERSED"
    return f"{len(paid)} payments, {len(sent)} credits: impossible"


def sums(installation: PrivateInstallation) -> dict[str, tuple[int, int]]:
    """Count and sum of postings by key, from the leg that meets the provider's account."""
    found = rows(
        installation,
        "SELECT p.posting_key, COUNT(*), CAST(SUM(ABS(e.amount_minor)) AS SIGNED) FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id"
        " JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE a.code IN ('mpesa_paybill', 'deriv_agent') AND p.posting_key <> 'opening'"
        " GROUP BY p.posting_key",
    )
    return {key: (int(count), int(total)) for key, count, total in found}


async def verdict(installation: PrivateInstallation, control: SandboxControl) -> None:
    """Everything that must hold once nothing is open: rails = books, invariants, balances, chain."""
    truth = await control.get("/truth")
    found, overdue = fates(installation), overdue_refunds(installation)
    wrong = wrongs(found, truth, reviewed=overdue)
    assert not wrong, "\n".join(wrong[:20])
    held = {reference: fate for fate in found if fate.id in overdue for reference in fate.pushes}
    # Given back by the rails, and still held here until a person has seen the proof.
    unseen = [
        payment["amount_minor"]
        for payment in truth["payments"]
        if payment["reversed_by"] and payment["reference"] in held
    ]
    summary, booked, books = truth["summary"], sums(installation), trial_balance(installation)
    told = {"paid": "payments", "done": "transfers", "refund_done": "reversals"}
    expected = {key: (summary[theirs]["count"], summary[theirs]["amount_minor"]) for key, theirs in told.items()}
    count, amount_minor = expected["refund_done"]
    expected["refund_done"] = (count - len(unseen), amount_minor - sum(unseen))
    happened = {key: pair for key, pair in expected.items() if pair != (0, 0)}
    assert booked == happened, f"booked {booked}, the rails say {happened}; {len(overdue)} refunds are overdue"
    for currency in ("KES", "USD"):
        assert sum(minor for (_, of), minor in books.items() if of == currency) == 0
    assert books["mpesa_paybill", "KES"] == summary["paybill"]["current_minor"] + sum(unseen)
    assert books["deriv_agent", "USD"] == summary["agent"]["current_minor"]
    in_refunds = sum(fate.send_minor for fate in found if fate.id in overdue)
    assert books.get(("refund_out", "KES"), 0) == -in_refunds
    for code in ("customer", "deriv_out", "suspense"):
        assert books.get((code, "KES"), 0) == 0, code
    await asyncio.to_thread(installation.run, "check")
    await asyncio.to_thread(installation.run, "audit", "verify")
