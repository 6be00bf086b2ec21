"""What is stored of a customer's identity, as it passes between the edge and its store. Times are UTC.

Phones are E.164 digits without plus. Codes travel as keyed hashes only.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One signed-in customer as read for one request."""

    user_id: str
    shard: int
    status: str
    phone: str = field(repr=False)
    phone_mask: str
    phone_verified: bool
    kyc_tier: int
    pin_set: bool
    deriv_loginid: str
    """Empty without an active link."""
    data_key: bytes = field(repr=False)
    session_live: bool
    """False once the session behind the access token was ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a customer may see of themselves."""

    email: str = field(repr=False)
    full_name: str = field(repr=False)
    created_at: datetime
    email_verified: bool
    withdrawals_held_until: datetime | None = None
    """Set for a while after a change of PIN or device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinTry:
    """A try at the PIN that is counted already. With `locked_until` set it may not be made, and did not count."""

    pin_hash: str = field(repr=False)
    """Empty without a PIN; then nothing was counted."""
    number: int = 0
    """How many tries in a row, this one included, were not proven right."""
    locked_until: datetime | None = None
    held_until: datetime | None = None
    """Until when withdrawals are held, if they are."""


class Purpose(StrEnum):
    """What a code that was sent is for; a customer has one of each at most. The names are stored."""

    PHONE = "phone"
    EMAIL = "email"
    PASSWORD = "password"  # noqa: S105 - the name of a purpose
    NEW_PHONE = "new_phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """A code on its way, as its keyed hash. Until `resend_at` no other one takes its place."""

    code_hash: bytes = field(repr=False)
    sent_at: datetime
    resend_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTry:
    """Somebody enters a code."""

    purpose: Purpose
    code_hash: bytes = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneChange:
    """Another number, and the code that reached it. Every session but `keep_session` ends."""

    user_id: str
    phone: str = field(repr=False)
    code_hash: bytes = field(repr=False)
    keep_session: str
    held_until: datetime
    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """A registration, with the codes that go to the phone and, where mail is sent, to the address."""

    user_id: str
    shard: int
    email: str = field(repr=False)
    phone: str = field(repr=False)
    full_name: str = field(repr=False)
    password_hash: str = field(repr=False)
    phone_code: NewCode
    email_code: NewCode | None
    created_at: datetime


class Verification(StrEnum):
    """What became of a code."""

    VERIFIED = "verified"
    WRONG = "wrong"
    """Also: expired, used up, or nobody waits for one. The caller learns no more."""
    TAKEN = "taken"
    """Right, but another account holds this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a sign-in is checked against."""

    user_id: str
    shard: int
    password_hash: str = field(repr=False)
    device_known: bool
    """Whether the account was ever signed in on this device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """One device signing in. An older session of the same device ends."""

    id: str
    user_id: str
    device_id: str
    device_name: str
    platform: str
    token: str = field(repr=False)
    """The first refresh token; the store keeps its SHA-256 only."""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A device with a living session."""

    device_id: str
    device_name: str
    platform: str
    signed_in_at: datetime
    used_at: datetime
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was known of a customer at one moment: a version of their tier, and why it was looked at."""

    version: int
    tier: int
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStanding:
    """A customer as staff decide about them: nothing personal."""

    shard: int
    status: str
    erased: bool
    kyc_tier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A refresh token was exchanged. `token` is the one to use from now on."""

    user_id: str
    session_id: str
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claims:
    """Who an access token speaks for."""

    user_id: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What Deriv says of the owner of a token. `fullname` is empty for a virtual account."""

    loginid: str
    fullname: str = field(repr=False)
    currency: str
    scopes: tuple[str, ...]
    is_virtual: bool
    email: str = field(repr=False)


class LinkStatus(StrEnum):
    """State of a customer's Deriv link."""

    NONE = "none"
    ACTIVE = "active"
    NAME_MISMATCH = "name_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivLink:
    """A customer's Deriv account. `token` opens their own session and is sealed at rest."""

    status: LinkStatus
    loginid: str = ""
    currency: str = ""
    linked_at: datetime | None = None
    token: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    """Where Deriv sends its codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineStep:
    """One recorded step of a transaction."""

    at: datetime
    from_state: str
    event: str
    to_state: str
    data: dict[str, str]
