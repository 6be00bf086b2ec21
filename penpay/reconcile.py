"""`penpay reconcile`: Safaricom's list, Deriv's statement and all balances against the books, item by item.

It may be interrupted and repeated: what was booked is known by the provider's id, and cursors remember how far each
list agreed. Money that nobody explains is booked and put before a person by the running node; without one it is shown.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from penpay.domain.errors import GatewayError
from penpay.domain.money import Currency, Money
from penpay.domain.presentation import time_text
from penpay.domain.reconciliation import (
    Finding,
    Remedy,
    Verdict,
    compare_balance,
    is_clean,
    not_told,
)
from penpay.domain.strays import shown_tail
from penpay.operator import NodeUnreachable
from penpay.provider_lists import ACCOUNTS, AGENT, PAYMENTS, Lists, begins, kind_of

BALANCE = "balance"
OVERLAP = timedelta(minutes=10)
"""How far behind its cursor a comparison begins again."""
_LOOK_S = 1.0
_MPESA_KINDS = frozenset({"STK", "REVERSAL", "B2C"})


class RunningNode(Protocol):
    """The node's internal listener."""

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Who is compared with whom. `act` False only looks. Times in seconds."""

    lists: Lists
    node: RunningNode
    floats_s: float
    """How long to wait for M-Pesa's balances to be told anew when they do not agree."""
    by: str
    """Who compares, for the node's log."""
    act: bool = True
    say: Callable[[str], None] = lambda _: None


@dataclass(slots=True)
class Report:
    """Everything that was found, and which shards may send again because of it."""

    findings: list[Finding] = field(default_factory=list)
    since: dict[str, datetime] = field(default_factory=dict)
    """From when on each list was compared: where the books or the list begin, or shortly before what agreed last."""
    opened: tuple[int, ...] = ()
    acted: bool = True
    """Whether anything was done about it, or only compared."""

    @property
    def differs(self) -> bool:
        """Whether a person has to look."""
        return any(one.verdict in {Verdict.DIFFERS, Verdict.NOT_TOLD} for one in self.findings)

    def balances(self) -> Mapping[str, Money]:
        """What the providers told, by account, whether the books agree or not."""
        return {one.ref: one.amount for one in self.findings if one.source == BALANCE and one.amount is not None}

    def as_json(self) -> dict[str, Any]:
        """For machines: all that does not agree, and counts."""
        counts = Counter((one.source, one.verdict.value) for one in self.findings)
        return {
            "clean": is_clean(self.findings),
            "counts": {f"{source}: {verdict}": count for (source, verdict), count in sorted(counts.items())},
            "since": {source: time_text(at) for source, at in self.since.items()},
            "balances": {account: told.wire() for account, told in self.balances().items()},
            "opened_shards": list(self.opened),
            "findings": [
                {
                    "source": one.source,
                    "ref": one.ref,
                    "verdict": one.verdict.value,
                    "amount": one.amount.text() if one.amount else None,
                    "currency": one.amount.currency.value if one.amount else None,
                    "at": time_text(one.at) if one.at else None,
                    "phone_tail": shown_tail(one.phone_tail) or None,
                    "words": one.words,
                    "remedy": one.remedy.value or None,
                }
                for one in self.findings
                if one.verdict is not Verdict.AGREES
            ],
        }


async def reconcile(sides: Sides) -> Report:
    """Compare, act on what nobody explains, compare the balances, and open the recovery gate when all agrees."""
    lists = sides.lists
    now = lists.clock.now()
    cursors = await lists.books.cursors()
    report = Report(acted=sides.act)
    agent_balance: Money | None = None
    for source in (PAYMENTS, AGENT):
        sides.say(f"comparing {source}")
        booked_since = await lists.reads.booked_since(ACCOUNTS[source])
        since = max(booked_since, cursors.get(source, _EVER) - OVERLAP, begins(source, now))
        report.since[source] = since
        try:
            found, balance = await lists.compared(source, since, until=now, now=now)
            agent_balance = balance or agent_balance
        except GatewayError as error:
            found = [not_told(source, "list", error.code)]
        found = [await _remedied(sides, one) for one in found]
        report.findings += found
        if sides.act:
            await _move_cursor(sides, source, found, lists.settled_at(now))
    sides.say("comparing balances")
    # After the remedies: what has just been booked to suspense is in the books now.
    moving = {one.source for one in report.findings if one.verdict is Verdict.MOVING or one.remedy is Remedy.LOOK_AGAIN}
    if agent_balance is not None:
        report.findings.append(await _compared(sides, ACCOUNTS[AGENT], agent_balance, moving=AGENT in moving))
    report.findings += await _balances(sides, moving=PAYMENTS in moving)
    if sides.act and is_clean(report.findings):
        report.opened = await _open_gate(sides)
    return report


_EVER = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


async def _balances(sides: Sides, *, moving: bool) -> list[Finding]:
    """M-Pesa tells its balances to a running node only. One that does not agree is waited for once more."""
    began, waited_s = sides.lists.clock.now(), 0.0
    while True:
        try:
            told = (await asyncio.to_thread(sides.node.call, "GET", "/admin/v1/floats"))["floats"]
        except NodeUnreachable as error:
            return [not_told(BALANCE, account, str(error)) for account in ("mpesa_paybill", "mpesa_utility")]
        findings, stale = [], False
        for account in ("mpesa_paybill", "mpesa_utility"):
            seen = told.get(account)
            if seen is None:
                findings.append(not_told(BALANCE, account, "never told to the running node"))
                continue
            finding = await _compared(sides, account, Money(int(seen["minor"]), Currency.KES), moving=moving)
            stale |= finding.verdict is not Verdict.AGREES and datetime.fromisoformat(seen["as_of"]) < began
            findings.append(finding)
        if not stale or waited_s >= sides.floats_s:
            return findings
        sides.say("waiting for M-Pesa's balances to be told anew")
        await asyncio.sleep(_LOOK_S)
        waited_s += _LOOK_S


async def _compared(sides: Sides, account: str, told: Money, *, moving: bool) -> Finding:
    before = (await sides.lists.books.balances_minor()).get(account, 0)
    open_ended = await sides.lists.books.open_ended()
    after = (await sides.lists.books.balances_minor()).get(account, 0)
    is_mpesa = account != ACCOUNTS[AGENT]
    open_here = any(count for kind, count in open_ended.items() if (kind in _MPESA_KINDS) == is_mpesa)
    moving = moving or open_here or before != after
    return compare_balance(account, told, Money(after, told.currency), moving=moving)


async def _remedied(sides: Sides, finding: Finding) -> Finding:
    """Have it done by the node. Without one the difference stands, and the next run meets it again."""
    if not finding.remedy or not sides.act:
        return finding
    sides.say(f"{finding.source} {finding.ref}: {finding.words}")
    path, body = _request(finding, sides.by)
    try:
        await asyncio.to_thread(sides.node.call, "POST", path, body)
    except NodeUnreachable as error:
        return replace(finding, words=f"{finding.words}; {error}", remedy=Remedy.NONE)
    return finding


def _request(finding: Finding, by: str) -> tuple[str, dict[str, Any]]:
    if finding.operation_id:
        # Only whose it may be: the node asks Safaricom what was paid.
        return "/admin/v1/payments", {"operation_id": finding.operation_id, "receipt": finding.ref, "by": by}
    assert finding.amount is not None
    assert finding.at is not None
    kind = kind_of(finding.source, finding.amount)
    return "/admin/v1/movements", {"kind": kind, "ref": finding.ref, "at": time_text(finding.at), "by": by}


async def _move_cursor(sides: Sides, source: str, found: Sequence[Finding], settled_at: datetime) -> None:
    """Up to the first item that does not agree; a list that was not read moves nothing."""
    open_items = [one for one in found if one.verdict is not Verdict.AGREES]
    if any(one.at is None for one in open_items):
        return
    until = min([settled_at, *(one.at for one in open_items if one.at is not None)])
    await sides.lists.books.move_cursor(source, until, at=sides.lists.clock.now())


async def _open_gate(sides: Sides) -> tuple[int, ...]:
    told = await asyncio.to_thread(sides.node.call, "GET", "/admin/v1/floats")
    if not told["closed_shards"]:
        return ()
    sides.say("everything agrees: opening the recovery gate")
    answer = await asyncio.to_thread(sides.node.call, "POST", "/admin/v1/recovery/open", {"by": sides.by})
    return tuple(int(shard) for shard in answer["opened"])


def show(console: Console, report: Report) -> None:
    """The outcome for a person: counts per list, and every item that does not agree."""
    counts = Counter((one.source, one.verdict) for one in report.findings)
    for source in (PAYMENTS, AGENT, BALANCE):
        parts = [f"{counts[source, verdict]} {verdict}" for verdict in Verdict if counts[source, verdict]]
        nothing = f"nothing since {time_text(report.since[source])}" if source in report.since else "nothing to compare"
        console.print(f"{source}: {', '.join(parts) or nothing}", highlight=False)
    for account, told in sorted(report.balances().items()):
        console.print(f"  {account} {told.text()} {told.currency}", highlight=False)
    others = [one for one in report.findings if one.verdict is not Verdict.AGREES]
    if others:
        # On 80 columns too: amounts stand whole, ids and words go on in the next line.
        item, words = Column("item", min_width=10, overflow="fold"), Column("what is known", overflow="fold")
        done = "what was done" if report.acted else "what would be done"
        table = Table(item, Column("amount", no_wrap=True), words, done, show_lines=True)
        for one in others:
            amount = f"{one.amount.text()} {one.amount.currency}" if one.amount else "-"
            colour = "yellow" if one.verdict in {Verdict.MOVING, Verdict.NOT_LISTED_YET} else "red"
            when = f", {time_text(one.at)}" if one.at else ""
            who = f", payer ...{shown_tail(one.phone_tail)}" if one.phone_tail else ""
            known = f"[{colour}]{one.verdict}[/]{when}{who}\n{escape(one.words)}"
            table.add_row(f"{one.source}\n{escape(one.ref)}", amount, known, one.remedy or "-")
        console.print(table)
    if report.opened:
        console.print(f"the recovery gate was opened for shards {', '.join(map(str, report.opened))}", highlight=False)
