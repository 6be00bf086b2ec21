"""Everything that is stored about the signed-in customer, as one JSON document in the shapes of the other answers.

Secrets are not data about the customer: hashes, tokens and codes stay out. Source: contract.md part 3.
"""

from aiohttp import web

from penpay.domain.presentation import evidence_of, render_transaction, time_text
from penpay.http.deriv_link import rendered_link
from penpay.http.devices import rendered_device
from penpay.http.dispatch import Call
from penpay.http.me import rendered_profile
from penpay.http.reads import HistoryFilter
from penpay.http.replies import Stop, json_response

_PAGE = 200
TRANSACTIONS_MAX = 20_000
"""More than a customer can make in years; beyond it the document says that it is not complete."""
_NOTICES_MAX = 1_000


async def everything(call: Call) -> web.Response:
    """The whole document, built page by page. A browser saves it as a file."""
    edge, who, at = call.edge, call.who, call.edge.clock.now()
    profile = await edge.accounts.profile(who.user_id)
    if profile is None or call.claims is None:
        raise Stop("unauthorized")
    session_id = call.claims.session_id
    transactions, complete = await _transactions(call)
    body = {
        "exported_at": time_text(at),
        "profile": {**await rendered_profile(call, profile), "phone": who.phone},
        "devices": [rendered_device(one, session_id) for one in await edge.sessions.devices(who.user_id, at=at)],
        "deriv": rendered_link(await edge.links.deriv_link(who.user_id)),
        "kyc": [
            {"version": one.version, "tier": one.tier, "reason": one.reason, "at": time_text(one.at)}
            for one in await edge.accounts.snapshots(who.user_id)
        ],
        "notices": [
            {"kind": kind.value, "at": time_text(told_at)}
            for kind, told_at in await edge.accounts.notices(who.user_id, limit=_NOTICES_MAX)
        ],
        "transactions": transactions,
        "complete": complete,
    }
    return json_response(body, headers={"Content-Disposition": 'attachment; filename="penpay-export.json"'})


async def _transactions(call: Call) -> tuple[list[dict[str, object]], bool]:
    """The newest first, and whether these are all."""
    rendered: list[dict[str, object]] = []
    before_id = ""
    while len(rendered) < TRANSACTIONS_MAX:
        which = HistoryFilter(before_id=before_id, limit=_PAGE)
        page = await call.edge.reads.transactions(call.who.user_id, which)
        rendered += [render_transaction(row, evidence_of(row)) for row in page]
        if len(page) < _PAGE:
            return rendered, True
        before_id = page[-1].id
    return rendered, False
