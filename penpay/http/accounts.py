"""What the edge needs from the store of identities, and from the two kinds of secrets around it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from penpay.domain.accounts import (
    AccountFacts,
    Claims,
    Credentials,
    DerivLink,
    Identity,
    LinkStatus,
    NewAccount,
    NewCode,
    NewSession,
    PhoneChange,
    PinTry,
    Profile,
    Rotation,
    SignedIn,
    Snapshot,
    Verification,
)
from penpay.domain.notices import NoticeKind


class Accounts(Protocol):
    """Customers as stored. Written with row locks by any node; all methods raise `Unavailable`."""

    async def identity(self, user_id: str, session_id: str) -> Identity | None:
        """One SELECT: everything that a request must know of who sent it."""
        ...

    async def profile(self, user_id: str) -> Profile | None: ...

    async def register(self, new: NewAccount) -> bool:
        """False when the address is known; nothing was changed then, after the same work.

        A registration of it that nobody verified reserves nothing and is forgotten.
        """
        ...

    async def renew_phone_code(self, phone: str, new: NewCode) -> bool:
        """Replace the code of the newest unverified account with this phone. False: nobody waits, or too soon."""
        ...

    async def renew_email_code(self, email: str, new: NewCode) -> bool:
        """Replace the code of an unverified address. False: nobody waits, or too soon."""
        ...

    async def verify_phone(self, phone: str, *, code_hash: bytes, at: datetime) -> Verification:
        """Use a code up. Wrong tries are counted in the database before anything is answered."""
        ...

    async def verify_email(self, email: str, *, code_hash: bytes, at: datetime) -> bool:
        """The same for an address. False: wrong, expired, used up, or nobody waits for one."""
        ...

    async def notices(self, user_id: str, *, limit: int) -> Sequence[tuple[NoticeKind, datetime]]:
        """What the customer was told about their account, and when it had happened; the newest first."""
        ...

    async def snapshots(self, user_id: str) -> Sequence[Snapshot]:
        """How the customer's tier came about, the first version first."""
        ...

    async def credentials(self, email: str, *, device_id: str) -> Credentials | None: ...
    async def password_hash(self, user_id: str) -> str: ...
    async def set_password_hash(self, user_id: str, password_hash: str, *, at: datetime) -> None: ...


class Pins(Protocol):
    """The customers' PINs and what guards them. Written under row locks; all methods raise `Unavailable`."""

    async def begin_try(self, user_id: str, *, at: datetime) -> PinTry:
        """Count a try, durably, before anybody looks whether it is right. The fifth in a row locks, right or wrong.

        After a lost answer of the database a try may be counted twice: never too little.
        """
        ...

    async def passed(self, user_id: str, tried: PinTry, *, at: datetime) -> None:
        """The PIN was right: the count begins anew, unless the PIN was changed meanwhile."""
        ...

    async def give_back(self, user_id: str, tried: PinTry, *, at: datetime) -> None:
        """The try was not made, so nobody learned anything from it."""
        ...

    async def set_pin(
        self, user_id: str, pin_hash: str, *, held_until: datetime, notice_id: str, at: datetime
    ) -> datetime | None:
        """A first PIN counts at once; a changed one holds withdrawals. Either way the count begins anew.

        The owner is told by a notice. The end of its lock when the present PIN is locked: nothing was changed then.
        """
        ...


class Sessions(Protocol):
    """Signed-in devices. Written with row locks by any node; all methods raise `Unavailable`."""

    async def open_session(self, new: NewSession, *, devices_max: int, held_until: datetime) -> bool:
        """Sign a device in; its older session ends. False when as many other devices are signed in already.

        A device that the account has not seen holds withdrawals, unless it is the very first.
        """
        ...

    async def rotate(self, token: str, *, device_id: str, successor: str, at: datetime) -> Rotation | None:
        """Spend a refresh token. None: unknown, ended, of another device, or spent before.

        A spent token that comes back ends the session, unless the same device repeats within seconds: then it gets
        the very same successor.
        """
        ...

    async def close_sessions(self, token: str, *, device_id: str, everywhere: bool, at: datetime) -> bool: ...

    async def devices(self, user_id: str, *, at: datetime) -> Sequence[SignedIn]:
        """Who is signed in, the last used device first."""
        ...

    async def remove_device(self, user_id: str, device_id: str, *, at: datetime) -> bool:
        """End a device's session at once. False when it has none."""
        ...


class PasswordChanges(Protocol):
    """Forgotten and changed passwords. Each change ends sessions, holds withdrawals and is told to the owner.

    All methods raise `Unavailable`, and do the same work for an address that nobody has.
    """

    async def ask_reset(self, email: str, new: NewCode) -> str:
        """The phone that the code goes to; empty when nobody has the address or a fresh code is on its way."""
        ...

    async def reset(
        self,
        email: str,
        *,
        code_hash: bytes,
        password_hash: str,
        held_until: datetime,
        notice_id: str,
        at: datetime,
    ) -> bool:
        """Use the code up. False: wrong, old, used, or nobody's. Wrong tries are counted before anything is said."""
        ...

    async def change(
        self,
        user_id: str,
        *,
        password_hash: str,
        keep_session: str,
        held_until: datetime,
        notice_id: str,
        at: datetime,
    ) -> None:
        """A signed-in customer's new password; their other sessions end."""
        ...


class PhoneChanges(Protocol):
    """Another phone number. The change holds withdrawals, ends other sessions and is told to the former number.

    All methods raise `Unavailable`.
    """

    async def ask(self, user_id: str, phone: str, new: NewCode) -> bool:
        """Expect this code from the customer. False: a fresh one is on its way."""
        ...

    async def change(self, change: PhoneChange, *, at: datetime) -> Verification:
        """Use the code. Wrong tries are counted before anything is said; a number of two accounts is impossible."""
        ...


class DerivLinks(Protocol):
    """Which Deriv account is whose. All methods raise `Unavailable`."""

    async def open_link(self, user_id: str, *, state: str, expires_at: datetime, at: datetime) -> None:
        """Remember who left for Deriv's page."""
        ...

    async def use_link_state(self, state: str, *, at: datetime) -> str:
        """The user who left with this state, once; empty otherwise."""
        ...

    async def give_back_link_state(self, state: str) -> None:
        """A state that was used for nothing works once more, until its time is over."""
        ...

    async def link(
        self,
        user_id: str,
        facts: AccountFacts,
        token: str,
        status: LinkStatus,
        *,
        score: int,
        match_id: str,
        at: datetime,
    ) -> bool:
        """Store a link, how like the names are, and the tier that follows.

        False when the account is actively linked to somebody else.
        """
        ...

    async def deriv_link(self, user_id: str) -> DerivLink: ...
    async def unlink(self, user_id: str, *, at: datetime) -> None: ...


class DerivAccounts(Protocol):
    """Asks Deriv whose token this is. Raises `Refused` for a token that it does not take, else `GatewayError`."""

    async def authorize(self, token: str) -> AccountFacts: ...


class AccessTokens(Protocol):
    """Short-lived signed tokens."""

    def issue(self, claims: Claims, *, at: datetime) -> str: ...
    def read(self, token: str, *, at: datetime) -> Claims | None:
        """None for every token that is not exactly one of ours and valid now."""
        ...


class Passwords(Protocol):
    """Slow hashes, off the loop, in bounded lanes. Raises `Unavailable` when a lane is full."""

    async def hash_password(self, password: str) -> str: ...
    async def check_password(self, stored: str, password: str) -> bool:
        """An empty `stored` costs the same time and is never right."""
        ...

    def is_outdated(self, stored: str) -> bool: ...
    async def hash_pin(self, user_id: str, pin: str) -> str: ...
    def pin_turn(self) -> AbstractAsyncContextManager[None]:
        """To be held from counting a try to its end: a crash costs a try to those few who are being checked."""
        ...

    async def check_pin(self, user_id: str, stored: str, pin: str) -> bool:
        """The caller has counted this try in the database before it asks."""
        ...
