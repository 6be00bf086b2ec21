"""Everything that the public listener works with, handed in by the composition root."""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from config import limits
from penpay.domain.account_statement import Held, Period
from penpay.domain.errors import Unavailable
from penpay.domain.throttle import Hit
from penpay.domain.timeline import Deadlines
from penpay.domain.unit import TransactionRow
from penpay.http.accounts import (
    AccessTokens,
    Accounts,
    DerivAccounts,
    DerivLinks,
    PasswordChanges,
    Passwords,
    PhoneChanges,
    Pins,
    Sessions,
)
from penpay.http.event_hub import EventHub
from penpay.http.rates import RateRules, rate_rules
from penpay.http.reads import Reads
from penpay.http.replies import Stop
from penpay.ports import Addresses, CallbackTokens, Clock, Ids, InboxStore, IndexSealer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Secrets(Protocol):
    """Unguessable values."""

    def token(self) -> str:
        """At least 256 bits, URL-safe."""
        ...

    def code(self) -> str:
        """Six digits."""
        ...


class RateLimits(Protocol):
    """Counts hits over all nodes."""

    async def wait_s(self, hits: Sequence[Hit]) -> int:
        """0 when every rule has room: then the hits count. Else none does, and the same would pass after these seconds.

        Raises `Unavailable` for a strict rule while the shared counter is away.
        """
        ...

    async def give_back(self, hits: Sequence[Hit]) -> None:
        """Take back hits that counted: of each rule and key the newest, or this member. Best effort, raises nothing."""
        ...

    async def room_s(self, hits: Sequence[Hit]) -> Sequence[int]:
        """After how many seconds each rule would let its hit through. Counts nothing; raises the same."""
        ...


class ReceiptSigner(Protocol):
    """The key that signs receipts."""

    @property
    def public_key(self) -> str: ...
    def sign(self, message: bytes) -> str: ...


class StatementPages(Protocol):
    """Draws statements of account."""

    def page(
        self,
        *,
        who: Mapping[str, str],
        period: Period,
        rows: Sequence[TransactionRow],
        opening: Held,
        closing: Held,
        made_at: datetime,
    ) -> bytes:
        """A PDF. Blocks for as long as it takes."""
        ...


class EdgeMetrics(Protocol):
    """What the edge reports about itself."""

    def request(self, *, route: str, method: str, status: int, seconds: float) -> None: ...
    def callback(self, *, kind: str, verdict: str) -> None: ...
    def authenticated(self, *, kind: str, accepted: bool) -> None:
        """Somebody proved who they are, or did not. `kind` is `password`, `refresh`, `code` or `pin`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """What of the configuration the public edge needs. Times in seconds, money in cents."""

    public_url: str
    shards: int
    relaxed: bool
    """Development or testing: an empty Deriv name passes, cookies work without TLS."""
    deriv_oauth_url: str
    deriv_app_id: str
    hosts: tuple[str, ...] = ()
    """Host names that we answer to, in lower case; none in development and testing, where any will do."""
    sends_mail: bool = False
    """Whether there is a mail server: without one nobody can verify an address, and nobody has to."""
    simulator_url: str = ""
    """Where the simulated rails of a development stack are steered, for the documentation; else empty."""
    trusted_proxies: tuple[Network, ...] = ()
    callback_allowlist: tuple[Network, ...] = ()
    callback_enforce: bool = True
    rates: RateRules = field(default_factory=rate_rules)
    deadlines: Deadlines = field(default_factory=Deadlines)
    ask_s: float = 8.0
    access_token_s: int = 900
    refresh_token_s: int = 2_592_000
    refresh_idle_s: int = 604_800
    code_s: int = 600
    code_resend_s: int = 60
    link_state_s: int = 600
    devices_max: int = 2
    deposit_min_usd_minor: int = 200
    deposit_max_usd_minor: int = 100_000
    deposit_day_usd_minor: int = 200_000
    withdrawal_min_usd_minor: int = 500
    withdrawal_max_usd_minor: int = 100_000
    withdrawal_day_usd_minor: int = 200_000
    identified_day_usd_minor: int = 300_000
    enhanced_day_usd_minor: int = 350_000
    withdrawal_hold_s: float = 86_400.0
    """How long withdrawals are held after a change of PIN, password or device."""


@dataclass(slots=True)
class Admission:
    """How much the listener takes at once. Callbacks have a lane of their own that opens first and closes last."""

    requests_max: int = limits.REQUESTS_MAX
    callbacks_max: int = limits.CALLBACKS_MAX
    bodies_max: int = limits.BODIES_MAX
    bodies_per_address: int = limits.BODIES_PER_ADDRESS_MAX
    open: bool = True
    """False while starting or draining: everything but callbacks and the documentation is answered 503."""
    requests: int = 0
    callbacks: int = 0
    bodies: Counter[str] = field(default_factory=Counter)
    """Whose bodies are awaited, by what limits per address count."""

    @contextmanager
    def awaiting_body(self, address: str) -> Iterator[None]:
        """A request whose body is on its way is not in progress yet: it has bounds of its own.

        Raises `Stop` when too many are awaited, or when there is no room among the requests once it arrived.
        """
        if self.bodies.total() >= self.bodies_max or self.bodies[address] >= self.bodies_per_address:
            raise Stop("overloaded")
        self.requests -= 1
        self.bodies[address] += 1
        try:
            yield
        finally:
            self.requests += 1
            self.bodies[address] -= 1
            if not self.bodies[address]:
                del self.bodies[address]
        if self.requests > self.requests_max:
            raise Stop("overloaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The parts. `lost_answers` are what an ask may raise although the message may have been executed."""

    settings: EdgeSettings
    addresses: Addresses
    accounts: Accounts
    pins: Pins
    sessions: Sessions
    password_changes: PasswordChanges
    phone_changes: PhoneChanges
    links: DerivLinks
    reads: Reads
    inbox: InboxStore
    callback_tokens: CallbackTokens
    sealer: IndexSealer
    tokens: AccessTokens
    passwords: Passwords
    deriv_accounts: DerivAccounts
    rate_limits: RateLimits
    receipts: ReceiptSigner
    statement_pages: StatementPages
    events: EventHub
    clock: Clock
    ids: Ids
    secrets: Secrets
    metrics: EdgeMetrics
    admission: Admission = field(default_factory=Admission)
    running: set[tuple[str, str, str]] = field(default_factory=set)
    """User, route and key hash of what is being decided: no more than there are requests in progress."""
    lost_answers: tuple[type[Exception], ...] = (TimeoutError,)
    unavailable_codes: Mapping[type[Unavailable], str] = field(default_factory=dict)
    """Problem codes of the runtime's own refusals (a full mailbox, a shard that lives elsewhere)."""
