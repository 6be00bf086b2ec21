"""The judge: what the rails say happened beside what the books say, transaction by transaction, to the cent."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from penpay.chaos.books import rows
from penpay.demo.proof import trial_balance
from penpay.domain.ids import uuid_text
from penpay.domain.statement import description
from penpay.stack import PrivateInstallation, ProcessFailed

Truth = Mapping[str, Any]
Account = tuple[str, str]
Owner = tuple[str, str]
"""The transaction behind a reference, and the kind of its operation."""

PAYBILL, UTILITY, CHARGES = ("mpesa_paybill", "KES"), ("mpesa_utility", "KES"), ("mpesa_charges", "KES")
AGENT = ("deriv_agent", "USD")
_TOTALS = ((PAYBILL, "paybill", 1), (UTILITY, "utility", 1), (AGENT, "agent", 1), (CHARGES, "charges", 1))
_FILED = "SELECT unit_id FROM {ledger}.units WHERE unit_id LIKE %s"
_OPEN = frozenset({"SENT", "UNKNOWN"})


@dataclass(frozen=True, slots=True)
class Fate:
    """One transaction as the books have it. `moved` is what it booked on the providers' accounts, debit positive."""

    id: str
    type: str
    state: str
    loginid: str
    send_minor: int
    receive_minor: int
    operations: Mapping[str, tuple[str, str]]
    """What a rail knows an operation by → its kind and state."""
    moved: Mapping[Account, int]

    @property
    def is_reviewed(self) -> bool:
        """A person has been asked."""
        return self.state == "IN_REVIEW"


@dataclass(slots=True)
class Happened:
    """What the rails did for one transaction. `moved` like that of a fate."""

    counts: Counter[str] = field(default_factory=Counter)
    moved: Counter[Account] = field(default_factory=Counter)
    given: list[tuple[str, int]] = field(default_factory=list)
    """(recipient, minor) of dollars sent and shillings paid out."""

    def add(self, kind: str, account: Account, minor: int, *, filed: bool = False) -> None:
        """One movement. What is filed happened, and stands in the books under an id of its own."""
        self.counts[kind] += 1
        self.moved[account] += 0 if filed else minor

    @property
    def end(self) -> str | None:
        """Where its transaction belongs, judged by the rails alone; nothing where no transaction may have come to."""
        took = self.counts["payment"] + self.counts["debit"]
        gave, returned = self.counts["credit"] + self.counts["payout"], self.counts["reversal"] + self.counts["return"]
        match took, gave, returned:
            case 0, 0, 0:
                return "FAILED"
            case 1, 1, 0:
                return "COMPLETED"
            case 1, 0, 1:
                return "REVERSED"
            case 1, 0, 0:
                return "IN_REVIEW"
        return None


@dataclass(slots=True)
class Verdict:
    """What was judged, and all that is wrong, one line each."""

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    """Open questions by kind."""
    unseen: Counter[Account] = field(default_factory=Counter)
    """What the rails moved and the books may not know yet: a person was asked about it."""
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, installation: PrivateInstallation, truth: Truth) -> Self:
        """Every transaction, the balances, the invariants and the chain."""
        verdict = cls()
        fates = fates_of(installation)
        filed = frozenset(str(unit) for (unit,) in rows(installation, _FILED, "ref:%"))
        verdict.judge(fates, truth, filed=filed)
        verdict._totals(trial_balance(installation), truth["summary"])
        kinds = rows(
            installation, "SELECT kind, COUNT(*) FROM {ledger}.review_items WHERE closed_at IS NULL GROUP BY kind"
        )
        verdict.reviews.update(dict(kinds))
        for command in (("check",), ("audit", "verify")):
            try:
                installation.run(*command)
            except ProcessFailed as error:
                verdict.wrong.append(str(error))
        return verdict

    def judge(self, fates: Sequence[Fate], truth: Truth, *, filed: Collection[str] = ()) -> None:
        """Every transaction beside what the rails did for it, and what they did for none.

        `filed`: units of what was booked to suspense under the provider's own id, for nobody claimed it in time.
        """
        owners = {known: (fate.id, kind) for fate in fates for known, (kind, _) in fate.operations.items()}
        happened = happened_of(owners, truth, filed)
        for fate in fates:
            self.ends[fate.type, fate.state] += 1
            self._judge_one(fate, happened.pop(fate.id, Happened()))
        nobodys = {whose: one for whose, one in happened.items() if any(one.moved.values())}
        self.wrong += [f"nobody's: {dict(one.counts)} {whose}" for whose, one in nobodys.items()]

    def _judge_one(self, fate: Fate, real: Happened) -> None:
        if real.end is None or (fate.state != real.end and not fate.is_reviewed):
            self.wrong.append(f"{fate.type} {fate.id} is {fate.state}, the rails say {real.end} {dict(real.counts)}")
        right = (fate.loginid if fate.type == "DEPOSIT" else "", fate.receive_minor)
        if not fate.is_reviewed and any(one != right for one in real.given):
            self.wrong.append(f"{fate.type} {fate.id} gave {real.given}, not {right}")
        difference = Counter(real.moved)
        difference.subtract(fate.moved)
        unbooked = {account: minor for account, minor in difference.items() if minor}
        asked = fate.is_reviewed and any(state in _OPEN for _, state in fate.operations.values())
        if unbooked and not asked:
            self.wrong.append(f"{fate.type} {fate.id} ({fate.state}): moved by the rails and not booked: {unbooked}")
        self.unseen.update(unbooked)

    def _totals(self, books: Mapping[Account, int], summary: Truth) -> None:
        for currency in ("KES", "USD"):
            total = sum(minor for (_, of), minor in books.items() if of == currency)
            if total:
                self.wrong.append(f"debits and credits differ in {currency} by {total}")
        for account, theirs, sign in _TOTALS:
            ours, real = books.get(account, 0) + self.unseen[account], sign * int(summary[theirs]["current_minor"])
            if ours != real:
                self.wrong.append(f"{account[0]} is {ours} by the books, the rails hold {real}")


def fates_of(installation: PrivateInstallation) -> list[Fate]:
    """Every transaction of the books, with what the rails know its operations by."""
    operations: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for id_, transaction_id, kind, state, reference in rows(
        installation, "SELECT id, transaction_id, kind, state, reference FROM {ledger}.provider_operations"
    ):
        operations[transaction_id][_known_as(kind, id_, reference)] = (kind, state)
    moved: dict[str, dict[Account, int]] = defaultdict(dict)
    for transaction_id, code, currency, minor in rows(
        installation,
        "SELECT p.transaction_id, a.code, a.currency, CAST(SUM(e.amount_minor) AS SIGNED) FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE a.code IN ('mpesa_paybill', 'mpesa_utility', 'mpesa_charges', 'deriv_agent')"
        " AND p.transaction_id IS NOT NULL GROUP BY p.transaction_id, a.code, a.currency",
    ):
        moved[transaction_id][code, currency] = int(minor)
    return [
        Fate(id_, type_, state, loginid, send, receive, operations.get(id_, {}), moved.get(id_, {}))
        for id_, type_, state, loginid, send, receive in rows(
            installation,
            "SELECT id, type, state, deriv_loginid, send_minor, receive_minor FROM {ledger}.transactions ORDER BY id",
        )
    ]


def _known_as(kind: str, operation_id: str, reference: str) -> str:
    """M-Pesa shows a push by its reference and a payout by our id; Deriv shows our description."""
    match kind:
        case "STK":
            return reference
        case "B2C":
            return uuid_text(operation_id)
        case "REVERSAL":
            return f"reversal {operation_id}"
    return description(reference)


def happened_of(owners: Mapping[str, Owner], truth: Truth, filed: Collection[str] = ()) -> dict[str, Happened]:
    """What the rails did, by transaction; what belongs to none goes by its own reference."""
    found: dict[str, Happened] = defaultdict(Happened)

    def whose(reference: str) -> tuple[Happened, str]:
        transaction_id, kind = owners.get(reference, (f"“{reference}”", ""))
        return found[transaction_id], kind

    for payment in truth["payments"]:
        one, _ = whose(payment["reference"])
        one.add("payment", PAYBILL, payment["amount_minor"], filed=f"ref:{payment['receipt']}" in filed)
        if payment["reversed_by"]:
            one.add("reversal", PAYBILL, -payment["amount_minor"])
    for transfer in truth["transfers"]:
        (one, kind), minor = whose(transfer["description"]), transfer["amount_minor"]
        if transfer["kind"] == "paymentagent_withdraw":
            one.add("debit", AGENT, minor, filed=f"ref:{transfer['other_transaction_id']}" in filed)
        elif kind == "DERIV_RETURN":
            one.add("return", AGENT, -minor)
        else:
            one.add("credit", AGENT, -minor)
            one.given.append((transfer["to_loginid"], minor))
    for payout in truth["payouts"]:
        if payout["result_code"] == "0":
            one, _ = whose(payout["originator_id"])
            one.add("payout", UTILITY, -payout["amount_minor"])
            one.moved[CHARGES] -= payout["charge_minor"]
            one.given.append(("", payout["amount_minor"]))
    return found
