"""Where providers post. A callback is stored before it is judged, and acknowledged only once it is stored.

Source: contract.md part 4, decisions.md part 7. Nothing here depends on an actor: they only hear a bell.
"""

from hashlib import sha256

import structlog
from aiohttp import web

from config.limits import CALLBACK_BYTES_MAX
from penpay.domain.errors import Unavailable
from penpay.domain.mpesa_callbacks import PATHS
from penpay.domain.throttle import Hit
from penpay.http.dispatch import read_bytes
from penpay.http.edge import Edge
from penpay.http.peers import limited_as, peer_address, within
from penpay.http.replies import Stop
from penpay.messages import InboxBell, InboxRow, inbox_of

RAIL_SHARD = 0xFFFF
"""Operations of the rail itself (balances), which belong to no customer."""
_ACCEPTED = b'{"ResultCode":0,"ResultDesc":"Accepted"}'
log = structlog.get_logger()


async def receive(edge: Edge, request: web.Request) -> web.Response:
    """One callback: 200 once it is durable, 404 for a token that is not ours, 503 when it cannot be stored."""
    admission = edge.admission
    if admission.callbacks >= admission.callbacks_max:
        raise Stop("overloaded")
    admission.callbacks += 1
    try:
        return await _receive(edge, request)
    finally:
        admission.callbacks -= 1


async def _receive(edge: Edge, request: web.Request) -> web.Response:
    kind = PATHS.get(request.match_info["kind"], "")
    genuine = edge.callback_tokens.verify(kind, request.match_info["token"]) if kind else None
    if genuine is None:
        edge.metrics.callback(kind=kind or "unknown", verdict="wrong_token")
        raise Stop("not_found")
    shard, operation_id = genuine
    address = peer_address(request, edge.settings.trusted_proxies)
    trusted = within(address, edge.settings.callback_allowlist)
    if not trusted:
        await _foreign(edge, kind, limited_as(address))
    body = await read_bytes(request, CALLBACK_BYTES_MAX)
    row = InboxRow(
        id=edge.ids.ulid(),
        shard=shard,
        kind=kind,
        operation_id=operation_id,
        body=body,
        trusted_source=trusted,
        received_at=edge.clock.now(),
    )
    new = await edge.inbox.add(row, dedupe_key=dedupe_key_of(row), source=str(address))
    edge.metrics.callback(kind=kind, verdict="stored" if new else "duplicate")
    if new:
        _ring(edge, row)
    return web.Response(body=_ACCEPTED, content_type="application/json")


def dedupe_key_of(row: InboxRow) -> str:
    """The same body for the same operation is one piece of evidence, however often and wherever it arrives."""
    return f"{row.kind}:{row.operation_id}:{sha256(row.body).hexdigest()}"


async def _foreign(edge: Edge, kind: str, address: str) -> None:
    """A right token from an address that is not the provider's."""
    if edge.settings.callback_enforce:
        edge.metrics.callback(kind=kind, verdict="foreign_address")
        log.warning("callback from an address that is not on the list", kind=kind, source=address)
        raise Stop("not_found")
    wait_s = await edge.rate_limits.wait_s([Hit(edge.settings.rates.callback_address, address)])
    if wait_s:
        raise Stop("rate_limited", retry_after_s=wait_s)


def _ring(edge: Edge, row: InboxRow) -> None:
    """Best effort: the row is stored, and a sweep finds what no bell rang for."""
    if row.shard == RAIL_SHARD:
        # The rail's pollers look for their own rows every two seconds.
        return
    try:
        edge.addresses.tell(inbox_of(row.shard), InboxBell((row,)))
    except Unavailable:
        edge.metrics.callback(kind=row.kind, verdict="no_bell")
