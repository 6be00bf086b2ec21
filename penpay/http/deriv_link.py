"""Binding a customer's Deriv account: out to Deriv's page, back with a token, checked before it counts.

Source: decisions.md part 7, contract.md part 3. The return carries tokens in its query, so it is never logged.
"""

import html
import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from aiohttp import web

from penpay.domain.accounts import AccountFacts, DerivLink, LinkStatus, Profile
from penpay.domain.errors import GatewayError, Refused
from penpay.domain.identity import mask_email, names_match
from penpay.domain.kyc import name_score
from penpay.domain.presentation import time_text
from penpay.domain.problems import PROBLEMS
from penpay.http.dispatch import Call
from penpay.http.replies import Stop, json_response
from penpay.messages_rails import DERIV_CUSTOMERS, CloseCustomer

NEEDED_SCOPES = frozenset({"read", "payments"})
"""Balances and statements; payment-agent withdrawals. Deriv drops a scope silently that its app may not have."""
_LOGINID = re.compile(r"[A-Z]{1,6}[0-9]{1,15}", re.ASCII)
_TOKEN = re.compile(r"[\w-]{1,128}", re.ASCII)
_TRIPLES_MAX = 25


def rendered_link(link: DerivLink) -> dict[str, object]:
    """The link as its owner sees it: never the token."""
    waiting = link.status is LinkStatus.NAME_MISMATCH
    return {
        "status": link.status.value,
        "loginid": link.loginid or None,
        "currency": link.currency or None,
        "linked_at": time_text(link.linked_at) if link.linked_at else None,
        "next_action": PROBLEMS["name_mismatch"].next_action if waiting else None,
    }


async def start(call: Call) -> web.Response:
    """Where to send the browser."""
    edge, who, at = call.edge, call.who, call.edge.clock.now()
    if who.deriv_loginid:
        raise Stop("deriv_already_linked")
    state = edge.secrets.token()
    expires_at = at + timedelta(seconds=edge.settings.link_state_s)
    await edge.links.open_link(who.user_id, state=state, expires_at=expires_at, at=at)
    url = edge.settings.deriv_oauth_url
    query = urlencode({"app_id": edge.settings.deriv_app_id, "state": state})
    joined = f"{url}{'&' if '?' in url else '?'}{query}"
    return json_response({"authorize_url": joined, "expires_at": time_text(expires_at)})


async def shown(call: Call) -> web.Response:
    """State of the link."""
    return json_response(rendered_link(await call.edge.links.deriv_link(call.who.user_id)))


async def removed(call: Call) -> web.Response:
    """Forget the link and its token; refused while money is on its way there."""
    edge, who = call.edge, call.who
    if await edge.reads.in_flight(who.user_id):
        raise Stop("deriv_link_busy")
    await edge.links.unlink(who.user_id, at=edge.clock.now())
    edge.addresses.tell(DERIV_CUSTOMERS, CloseCustomer(who.user_id))
    return web.Response(status=204)


async def returned(call: Call) -> web.Response:
    """The browser came back from Deriv. It is tied to the customer by its state alone, which works once."""
    try:
        profile, link = await _bind(call)
    except Stop as stop:
        if _wants_json(call.request):
            raise
        known = PROBLEMS[stop.code]
        return _page(known.title, known.next_action, status=known.status)
    identity = f"PenPay account {mask_email(profile.email)} · Deriv account {link.loginid}"
    if _wants_json(call.request):
        if link.status is LinkStatus.NAME_MISMATCH:
            raise Stop("name_mismatch", f"{identity}.")
        return json_response(rendered_link(link))
    if link.status is LinkStatus.ACTIVE:
        return _page("The Deriv account is linked", f"{identity}. You can return to the app.", status=200)
    mismatch = PROBLEMS["name_mismatch"]
    return _page(mismatch.title, f"{identity}. {mismatch.next_action}", status=mismatch.status)


async def _bind(call: Call) -> tuple[Profile, DerivLink]:
    edge, query = call.edge, call.request.query
    state = query.get("state", "")
    user_id = await edge.links.use_link_state(state, at=edge.clock.now()) if _TOKEN.fullmatch(state) else ""
    if not user_id:
        raise Stop("link_state_invalid")
    loginid, token = _usd_account(query)
    try:
        facts = await edge.deriv_accounts.authorize(token)
    except Refused:
        raise Stop("deriv_refused") from None
    except GatewayError:
        # The customer has nothing to do with it: loading the page again is enough.
        await edge.links.give_back_link_state(state)
        raise Stop("rail_down", "Deriv cannot be reached now.", retry_after_s=10) from None
    _refuse_unsuitable(facts, loginid)
    profile = await edge.accounts.profile(user_id)
    if profile is None:
        raise Stop("link_state_invalid")
    same = names_match(profile.full_name, facts.fullname) or (edge.settings.relaxed and not facts.fullname)
    status = LinkStatus.ACTIVE if same else LinkStatus.NAME_MISMATCH
    score, at = name_score(profile.full_name, facts.fullname), edge.clock.now()
    if not await edge.links.link(user_id, facts, token, status, score=score, match_id=edge.ids.ulid(), at=at):
        raise Stop("deriv_account_taken")
    return profile, await edge.links.deriv_link(user_id)


def _usd_account(query: Mapping[str, str]) -> tuple[str, str]:
    """The first USD account among the `acctN`, `tokenN`, `curN` triples of Deriv's redirect."""
    for number in range(1, _TRIPLES_MAX + 1):
        loginid, token = query.get(f"acct{number}", ""), query.get(f"token{number}", "")
        if not loginid:
            break
        real = _LOGINID.fullmatch(loginid) and not loginid.startswith("VR")
        if real and query.get(f"cur{number}", "").upper() == "USD" and _TOKEN.fullmatch(token):
            return loginid, token
    raise Stop("deriv_account_unsuitable")


def _refuse_unsuitable(facts: AccountFacts, loginid: str) -> None:
    """What Deriv says counts, not what stood in the query."""
    if facts.loginid != loginid:
        raise Stop("deriv_refused", "Deriv names another account for this token.")
    if facts.is_virtual or facts.currency != "USD":
        raise Stop("deriv_account_unsuitable")
    missing = NEEDED_SCOPES - set(facts.scopes)
    if missing:
        raise Stop("deriv_account_unsuitable", f"The authorisation lacks: {', '.join(sorted(missing))}.")


def _wants_json(request: web.Request) -> bool:
    accepted = request.headers.get("Accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _page(title: str, text: str, *, status: int) -> web.Response:
    """A page without script, style or links: the tokens in its address must not leak anywhere."""
    safe_title, safe_text = html.escape(title), html.escape(text)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe_title}</title></head><body><h1>{safe_title}</h1><p>{safe_text}</p></body></html>"
    )
    headers = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
    return web.Response(text=page, status=status, content_type="text/html", headers=headers)
