"""From an HTTP request to one of our handlers: sign-in, Idempotency-Key, body and limits, in that order.

A `Route` says all that is special about a call; the OpenAPI document is made from the same table.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from config import limits
from penpay.domain.accounts import Claims, Identity
from penpay.domain.answers import comparable, key_hash_of
from penpay.domain.errors import Unavailable
from penpay.domain.ids import is_ulid
from penpay.domain.throttle import Hit, Rule
from penpay.http.edge import Edge
from penpay.http.json_body import MalformedJson, parse_object
from penpay.http.peers import limited_as, peer_address
from penpay.http.rates import RateRules
from penpay.http.replies import REQUEST_ID, Stop, invalid_fields, query_of, refuse_fields
from penpay.messages import Customer

_VISIBLE_ASCII = re.compile(rf"[!-~]{{1,{limits.IDEMPOTENCY_KEY_MAX}}}")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as far as it was understood. `signed` is None on routes without sign-in."""

    edge: Edge
    request: web.Request
    route: "Route"
    claims: Claims | None = None
    signed: Identity | None = None
    body: Any = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    query: Any = None
    key_hash: str = ""
    counted: list[Hit] = field(default_factory=list)
    """What limits let through for it."""

    @property
    def who(self) -> Identity:
        """The signed-in customer; only on routes that need one."""
        assert self.signed is not None
        return self.signed

    @property
    def request_id(self) -> str:
        """What ties log lines and answers of this request together."""
        return str(self.request[REQUEST_ID])

    @property
    def customer(self) -> Customer:
        """The customer in the form that the core takes."""
        who = self.who
        return Customer(
            user_id=who.user_id,
            shard=who.shard,
            status=who.status,
            phone=who.phone,
            phone_mask=who.phone_mask,
            phone_verified=who.phone_verified,
            kyc_tier=who.kyc_tier,
            deriv_loginid=who.deriv_loginid,
            data_key=who.data_key,
        )

    def fingerprints(self) -> tuple[str, ...]:
        """Keyed hashes of the body, the same for every order of its fields: under the key in use, then former ones."""
        return self.edge.sealer.fingerprints(comparable(self.raw))

    def path_id(self) -> str:
        """The id in the path; what cannot be an id was never given out."""
        value = self.request.match_info["id"]
        if not is_ulid(value):
            raise Stop("not_found")
        return value

    def address_key(self) -> str:
        """What limits per address count."""
        return limited_as(peer_address(self.request, self.edge.settings.trusted_proxies))

    async def limit(self, *hits: Hit) -> None:
        """Count these hits; 429 when one rule is full."""
        if wait_s := await self.wait_s(*hits):
            raise Stop("rate_limited", retry_after_s=wait_s)

    async def wait_s(self, *hits: Hit) -> int:
        """Count these hits, unless one rule is full: then after how many seconds it is not."""
        wait_s = await self.edge.rate_limits.wait_s(hits)
        if not wait_s:
            self.counted += hits
        return wait_s

    async def room(self, *hits: Hit) -> None:
        """429 when one rule is full. Counts nothing, so they are counted once more before what they limit is done."""
        if wait_s := max(await self.edge.rate_limits.room_s(hits)):
            raise Stop("rate_limited", retry_after_s=wait_s)

    async def give_back(self) -> None:
        """Nothing came of this request, and that was our doing: it costs its caller nothing."""
        hits, self.counted = self.counted, []
        await self.edge.rate_limits.give_back(hits)


Handle = Callable[[Call], Awaitable[web.StreamResponse]]
Rules = Callable[[RateRules], Sequence[Rule]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call of the API. `rules` limit the signed-in account; `answers` and `problems` are for the documentation."""

    method: str
    path: str
    handle: Handle
    summary: str
    tag: str
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    signed_in: bool = True
    idempotent: bool = False
    rules: Rules | None = None
    problems: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)
    shown_query: type[BaseModel] | None = None
    """Parameters that the handler reads by itself, for the documentation."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request header fields that the handler reads, for the documentation."""
    free_when_away: bool = False
    """What it counts is given back when a part of ours is away. Not where a wrong guess may end like that."""
    only_itself: bool = False
    """A GET that changes something, never ends or is written while it is read: HEAD is not answered."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Under which methods it is reached. HEAD belongs to every GET (RFC 9110, 9.1); nobody sends its body."""
        return (self.method, "HEAD") if self.method == "GET" and not self.only_itself else (self.method,)


def bound(edge: Edge, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route."""

    async def handler(request: web.Request) -> web.StreamResponse:
        call = Call(edge=edge, request=request, route=route)
        if route.signed_in:
            call.claims = _claims(edge, request)
        if route.idempotent:
            call.key_hash = _key_hash(request)
        if route.body is not None:
            await _read_body(call, route.body)
        elif request.can_read_body:
            await _refuse_body(call)
        if route.query is not None:
            call.query = query_of(request.query, route.query)
        elif route.shown_query is None:
            refuse_fields(dict.fromkeys(request.query))
        if call.claims is not None:
            await _admit(call, call.claims)
        try:
            return await route.handle(call)
        except Unavailable:
            if route.free_when_away:
                await call.give_back()
            raise

    return handler


def _claims(edge: Edge, request: web.Request) -> Claims:
    given = request.headers.getall("Authorization", ())
    # Of two, whoever stands between may have looked at the other.
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    claims = edge.tokens.read(token.strip(), at=edge.clock.now()) if scheme.lower() == "bearer" else None
    if claims is None:
        raise Stop("unauthorized")
    return claims


def _key_hash(request: web.Request) -> str:
    keys = request.headers.getall("Idempotency-Key", ())
    if not keys:
        raise Stop("idempotency_key_missing")
    if len(keys) > 1 or not _VISIBLE_ASCII.fullmatch(keys[0]):
        raise Stop("idempotency_key_invalid")
    return key_hash_of(keys[0])


async def _read_body(call: Call, model: type[BaseModel]) -> None:
    require_json(call.request)
    raw = await _bytes_of(call)
    try:
        call.raw = parse_object(raw)
        call.body = model.model_validate(call.raw)
    except MalformedJson as error:
        raise Stop("malformed_json", f"The body {error}.") from None
    except ValidationError as error:
        raise invalid_fields(error) from None


async def _refuse_body(call: Call) -> None:
    """A call without fields takes no fields. Nothing, or an empty object, is what some clients always send."""
    raw = await _bytes_of(call)
    try:
        unknown = parse_object(raw) if raw.strip() else {}
    except MalformedJson:
        raise Stop("malformed_json", "This call takes no body.") from None
    refuse_fields(unknown)


async def _bytes_of(call: Call) -> bytes:
    """The body. One that came with its head is there already; whoever sends slowly must not keep others out."""
    if call.request.content.is_eof():
        return await read_bytes(call.request, limits.BODY_BYTES_MAX)
    with call.edge.admission.awaiting_body(call.address_key()):
        return await read_bytes(call.request, limits.BODY_BYTES_MAX)


def require_json(request: web.Request) -> None:
    """415 unless the body says that it is JSON in UTF-8."""
    # The framework reads a media type as mail programs do, in time that grows with the square of its length.
    if len(request.headers.get("Content-Type", "")) > limits.MEDIA_TYPE_MAX:
        raise Stop("unsupported_media_type")
    if request.content_type != "application/json":
        raise Stop("unsupported_media_type")
    if (request.charset or "utf-8").lower().replace("_", "-") not in {"utf-8", "utf8"}:
        raise Stop("unsupported_media_type", "Send UTF-8.")


async def read_bytes(request: web.Request, bytes_max: int) -> bytes:
    """The whole body as it was sent, within its size and time; 415 for a coded one, 413 or 408 otherwise."""
    coding = request.headers.get("Content-Encoding", "identity").lower()
    transfer = request.headers.get("Transfer-Encoding", "chunked").lower()
    if coding != "identity" or transfer != "chunked":
        raise Stop("unsupported_media_type", "Send the body without any coding.")
    if (request.content_length or 0) > bytes_max:
        raise Stop("payload_too_large")
    try:
        async with asyncio.timeout(limits.READ_BODY_S):
            raw = await request.read()
    except TimeoutError:
        raise Stop("request_timeout") from None
    except web.HTTPRequestEntityTooLarge:
        raise Stop("payload_too_large") from None
    except web.RequestPayloadError:
        raise Stop("malformed_request", "The body is not what its header fields say.") from None
    if len(raw) > bytes_max:
        raise Stop("payload_too_large")
    return raw


async def _admit(call: Call, claims: Claims) -> None:
    """Count against the account's limits, then read who this is: one SELECT per request."""
    edge = call.edge
    if call.route.rules is not None:
        rules = call.route.rules(edge.settings.rates)
        await call.limit(*(Hit(rule, claims.user_id, call.key_hash) for rule in rules))
    call.signed = await edge.accounts.identity(claims.user_id, claims.session_id)
    if call.signed is None or not call.signed.session_live:
        raise Stop("unauthorized", "The session has ended.")
