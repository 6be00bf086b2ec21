"""What a customer may keep: signed receipts, and statements of account as CSV or PDF."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from aiohttp import web

from config import limits
from penpay.domain import account_statement as statement
from penpay.domain.errors import Unavailable
from penpay.domain.receipts import ALGORITHM, FINAL, receipt_of, signed_bytes
from penpay.domain.unit import TransactionRow
from penpay.http.dispatch import Call
from penpay.http.replies import Stop, json_response
from penpay.http.schemas import StatementQuery
from penpay.http.transactions import own_transaction

_drawing = asyncio.Semaphore(limits.STATEMENT_PDFS_AT_ONCE)


async def receipt(call: Call) -> web.Response:
    """What became of a transaction, signed."""
    row = await own_transaction(call)
    if row.status not in FINAL:
        raise Stop("receipt_not_ready", retry_after_s=5)
    said = receipt_of(row, call.edge.settings.public_url.rstrip("/"))
    signer = call.edge.receipts
    return json_response(
        {
            "receipt": said,
            "algorithm": ALGORITHM,
            "public_key": signer.public_key,
            "signature": signer.sign(signed_bytes(said)),
        }
    )


async def receipt_key(call: Call) -> web.Response:
    """The public key of receipts, to be kept by whoever checks them."""
    return json_response({"algorithm": ALGORITHM, "public_key": call.edge.receipts.public_key})


async def statement_of_account(call: Call) -> web.StreamResponse:
    """A statement of whole Nairobi days."""
    query: StatementQuery = call.query
    now = call.edge.clock.now()
    period = statement.period_of(query.from_, query.to, now=now, days_max=limits.STATEMENT_DAYS_MAX)
    size = await call.edge.reads.statement_size(call.who.user_id, from_at=period.from_at, to_at=period.to_at)
    wanted = query.format or "csv"
    lines_max = limits.STATEMENT_LINES_MAX if wanted == "csv" else limits.STATEMENT_PDF_LINES_MAX
    if size > lines_max:
        raise Stop("statement_too_large", f"{size} transactions are more than {lines_max}.")
    return await (_csv(call, period, now) if wanted == "csv" else _pdf(call, period, now))


def _headers(period: statement.Period, ending: str, content_type: str) -> dict[str, str]:
    name = f"penpay-{period.first}-{period.last}.{ending}"
    return {"Content-Type": content_type, "Content-Disposition": f'attachment; filename="{name}"'}


async def _csv(call: Call, period: statement.Period, now: datetime) -> web.StreamResponse:
    """Streamed page by page. A statement that breaks off has no CLOSING line, and its connection is cut."""
    reads, who = call.edge.reads, call.who.user_id
    opening = await reads.held(who, before_at=period.from_at)
    closing = await reads.held(who, before_at=period.to_at)
    response = web.StreamResponse(headers=_headers(period, "csv", "text/csv; charset=utf-8"))
    await response.prepare(call.request)
    first = statement.held_line(statement.OPENING, period.from_at, opening)
    last = statement.held_line(statement.CLOSING, min(period.to_at, now), closing)
    try:
        await _write(response, statement.csv_bytes([statement.COLUMNS, first]))
        async for rows in _pages(call, period):
            await _write(response, statement.csv_bytes(map(statement.line_of, rows)))
        await _write(response, statement.csv_bytes([last]))
    except (TimeoutError, Unavailable) as error:
        if call.request.transport is not None:
            call.request.transport.abort()
        raise ConnectionResetError("the statement broke off") from error
    return response


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(limits.WRITE_S):
        await response.write(data)


async def _pages(call: Call, period: statement.Period) -> AsyncIterator[list[TransactionRow]]:
    after_id, left = "", limits.STATEMENT_LINES_MAX
    while left > 0:
        rows = await call.edge.reads.statement_page(
            call.who.user_id,
            from_at=period.from_at,
            to_at=period.to_at,
            after_id=after_id,
            limit=min(left, limits.STATEMENT_PAGE),
        )
        if rows:
            yield list(rows)
        if len(rows) < limits.STATEMENT_PAGE:
            return
        after_id, left = rows[-1].id, left - len(rows)


async def _pdf(call: Call, period: statement.Period, now: datetime) -> web.Response:
    if _drawing.locked():
        raise Stop("overloaded", "Other statements are being drawn.", retry_after_s=2)
    edge, who = call.edge, call.who
    async with _drawing:
        rows = [row async for page in _pages(call, period) for row in page]
        opening = await edge.reads.held(who.user_id, before_at=period.from_at)
        closing = await edge.reads.held(who.user_id, before_at=period.to_at)
        known = await edge.accounts.profile(who.user_id)
        page = await asyncio.to_thread(
            edge.statement_pages.page,
            who={"Name": known.full_name if known else "", "Phone": who.phone_mask, "Deriv": who.deriv_loginid or "-"},
            period=period,
            rows=rows,
            opening=opening,
            closing=closing,
            made_at=now,
        )
    return web.Response(body=page, headers=_headers(period, "pdf", "application/pdf"))
