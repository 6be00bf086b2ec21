"""History, one transaction, where its money is, and cancelling it. Read from the rows: any node answers."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

from aiohttp import web

from config.limits import PAGE_DEFAULT
from penpay.domain.errors import BadInput, Unavailable
from penpay.domain.failures import LANGUAGES, language_of
from penpay.domain.presentation import evidence_of, render_transaction
from penpay.domain.review_kinds import ROW_UNREADABLE
from penpay.domain.timeline import render_timeline
from penpay.domain.unit import TransactionRow
from penpay.http.dispatch import Call
from penpay.http.quotes import refused
from penpay.http.reads import HistoryFilter
from penpay.http.replies import Stop, json_response
from penpay.http.schemas import TransactionsQuery
from penpay.messages import CancelTransaction, Refusal, WakeUp, saga_of

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


async def listed(call: Call) -> web.Response:
    """One page of the history."""
    query: TransactionsQuery = call.query
    limit = int(query.limit or PAGE_DEFAULT)
    from_at, to_at = _time(query.from_, "from"), _time(query.to, "to")
    if from_at is not None and to_at is not None and from_at > to_at:
        raise BadInput("from", "must not lie behind `to`")
    which = HistoryFilter(
        type=query.type or "",
        status=query.status or "",
        from_at=from_at,
        to_at=to_at,
        before_id=query.cursor or "",
        limit=limit + 1,
    )
    rows = await call.edge.reads.transactions(call.who.user_id, which)
    page = rows[:limit]
    language = _language(call)
    body = {
        "items": [_rendered(row, language) for row in page],
        "next_cursor": page[-1].id if len(rows) > limit else None,
    }
    return json_response(body, headers=_spoken(language))


async def one(call: Call) -> web.Response:
    """One transaction; its ETag is its version."""
    row = await own_transaction(call)
    language = _language(call)
    # English tags stay as they were; another language is another representation.
    etag = f'"{row.id}-{row.version}"' if language == LANGUAGES[0] else f'"{row.id}-{row.version}-{language}"'
    if _is_known(etag, call.request.headers.get("If-None-Match", "")):
        return web.Response(status=304, headers={"ETag": etag, **_spoken(language)})
    return json_response(_rendered(row, language), headers={"ETag": etag, **_spoken(language)})


async def timeline(call: Call) -> web.Response:
    """Where the money is."""
    row = await own_transaction(call)
    steps = await call.edge.reads.steps(row.id)
    return json_response(render_timeline(row, steps, call.edge.settings.deadlines))


async def cancel(call: Call) -> web.Response:
    """Cancel while nothing was sent to the provider. The ledger decides that, not what we read here."""
    row = await own_transaction(call)
    if row.failure_code == ROW_UNREADABLE:
        raise Stop("not_cancellable")
    reply = await call.edge.addresses.ask(
        saga_of(row.shard, row.id), CancelTransaction(call.who.user_id), timeout_s=call.edge.settings.ask_s
    )
    if isinstance(reply, Refusal):
        raise refused(reply)
    language = _language(call)
    return json_response(_rendered(reply, language), headers=_spoken(language))


async def own_transaction(call: Call) -> TransactionRow:
    """The transaction that the path names, if it is the customer's own; somebody else's does not exist.

    What is told of one that nobody can read is made true: its saga is woken, and people are asked if they were not yet.
    """
    row = await call.edge.reads.transaction(call.who.user_id, call.path_id())
    if row is None:
        raise Stop("not_found")
    if row.failure_code == ROW_UNREADABLE:
        with suppress(Unavailable):
            call.edge.addresses.tell(saga_of(row.shard, row.id), WakeUp())
    return row


def _is_known(etag: str, given: str) -> bool:
    """Weak comparison, as RFC 9110 (13.1.2) wants it: a proxy may have weakened our tag."""
    return any(part.strip().removeprefix("W/") in {etag, "*"} for part in given.split(","))


def _rendered(row: TransactionRow, language: str) -> dict[str, object]:
    return render_transaction(row, evidence_of(row), language)


def _language(call: Call) -> str:
    return language_of(call.request.headers.get("Accept-Language", ""))


def _spoken(language: str) -> dict[str, str]:
    return {"Content-Language": language, "Vary": "Accept-Language"}


def _time(text: str | None, field: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text) if _RFC_3339.fullmatch(text) else None
        return at.astimezone(UTC) if at is not None else _refuse(field)
    except (ValueError, OverflowError):
        # The first and the last day of the calendar have no neighbours in other zones.
        return _refuse(field)


def _refuse(field: str) -> NoReturn:
    raise BadInput(field, "must be an RFC 3339 time with its zone") from None
