"""A client of a real public listener whose actors are told what to answer."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any

import aiohttp

from penpay.domain.accounts import AccountFacts
from penpay.domain.errors import GatewayError, Refused, Unavailable
from penpay.http.edge import Edge
from penpay.http.site import Site
from penpay.messages_rails import MAIL, SMS, GetBalance, SendMail, SendSms

PASSWORD = "correct horse battery"
_phones = itertools.count(712_000_001)


class LostAnswer(Exception):
    """What the runtime raises when a reply did not come."""


class Elsewhere(Unavailable):
    """What the runtime raises when nobody was reached."""


@dataclass
class Actors:
    """Stands where the actors live: records what they are told, answers what the test says."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    answers: dict[type, Callable[[Any], Any]] = field(default_factory=lambda: {GetBalance: lambda _: None})
    """By message. Deriv tells no balance before a test says one."""

    def tell(self, address: str, message: object) -> None:
        self.told.append((address, message))

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any:
        assert timeout_s > 0
        self.asked.append((address, message))
        answer = self.answers[type(message)](message)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def last_code(self) -> str:
        """Digits of the newest SMS."""
        texts = [message.text for address, message in self.told if address == SMS and isinstance(message, SendSms)]
        return _code_in(texts[-1])

    def mails(self) -> list[SendMail]:
        """What was mailed, the newest last."""
        return [message for address, message in self.told if address == MAIL and isinstance(message, SendMail)]

    def last_mailed_code(self) -> str:
        """Digits of the newest mail."""
        return _code_in(self.mails()[-1].text)


def _code_in(text: str) -> str:
    return next(word for word in text.replace(".", " ").split() if word.isdigit() and len(word) == 6)


@dataclass
class Deriv:
    """Whose tokens Deriv knows."""

    known: dict[str, AccountFacts | GatewayError] = field(default_factory=dict)

    async def authorize(self, token: str) -> AccountFacts:
        found = self.known.get(token, Refused("InvalidToken"))
        if isinstance(found, GatewayError):
            raise found
        return found


@dataclass
class MovedClock:
    """A clock that the test turns."""

    ahead: timedelta = timedelta()
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic_s(self) -> float:
        return (self.now() - self.began).total_seconds()


@dataclass
class Answer:
    """One response, read to its end."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["code"])

    @property
    def fields(self) -> set[str]:
        return {error["field"] for error in self.body.get("errors", ())}


class World:
    """The listener with its surroundings, and a client."""

    def __init__(self, edge: Edge, site: Site, session: aiohttp.ClientSession, actors: Actors, deriv: Deriv) -> None:
        self.edge = edge
        self.site = site
        self.session = session
        self.actors = actors
        self.deriv = deriv
        self.base = f"http://127.0.0.1:{site.port}"

    async def call(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        path = path if path.startswith(("/cb", "/docs", "/openapi", "/problems")) else f"/api/v1{path}"
        extra = {"json": body} if body is not None else {}
        async with self.session.request(method, self.base + path, headers=headers, **extra, **more) as answer:
            raw = await answer.read()
            parsed = await answer.json(content_type=None) if "json" in answer.content_type and raw else None
            return Answer(answer.status, answer.headers, raw, parsed)


@dataclass
class Customer:
    """Somebody signed in."""

    world: World
    id: str
    email: str
    phone: str
    access: str
    refresh: str
    device: str

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.access}", **more.pop("headers", {})}
        return await self.world.call(method, path, body, headers=headers, **more)


def new_phone() -> str:
    return f"254{next(_phones)}"


async def signed_in(world: World, *, name: str = "Wanjiku Kamau", linked: bool = True) -> Customer:
    """Register, verify, sign in and link, all through the API."""
    phone = new_phone()
    email = f"u{phone}@example.com"
    registration = {"email": email, "phone": phone, "password": PASSWORD, "full_name": name}
    assert (await world.call("POST", "/auth/register", registration)).status == 201
    verify = {"phone": phone, "code": world.actors.last_code()}
    assert (await world.call("POST", "/auth/phone/verify", verify)).status == 200
    device = f"device-{phone[-6:]}"
    tokens = await login(world, email, device)
    made = Customer(world, "", email, phone, tokens["access_token"], tokens["refresh_token"], device)
    made.id = (await made.call("GET", "/me")).body["id"]
    if linked:
        await link(made, f"CR{phone[3:]}", name)
    return made


async def login(world: World, email: str, device: str) -> dict[str, Any]:
    body = {"email": email, "password": PASSWORD, "device": {"id": device, "name": "Phone", "platform": "android"}}
    answer = await world.call("POST", "/auth/login", body)
    assert answer.status == 200, answer.raw
    return dict(answer.body)


async def link(customer: Customer, account: str, name: str, **facts: Any) -> Answer:
    """Walk through the Deriv link as a browser would."""
    started = await customer.call("POST", "/deriv/link")
    assert started.status == 200, started.raw
    state = started.body["authorize_url"].rpartition("state=")[2]
    token = f"a1-{account}"
    told: dict[str, Any] = {
        "loginid": account,
        "fullname": name,
        "currency": "USD",
        "scopes": ("read", "payments"),
        "is_virtual": False,
        "email": customer.email,
    }
    customer.world.deriv.known.setdefault(token, AccountFacts(**{**told, **facts}))
    params = {"acct1": account, "token1": token, "cur1": "USD", "state": state}
    return await customer.world.call("GET", "/deriv/callback", params=params, headers={"Accept": "application/json"})
