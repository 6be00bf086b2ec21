"""Customers for a benchmark, written by SQL: verified phones, active Deriv links, living sessions, signed tokens.

Everything is sealed and indexed with the installation's own keys, as a registration would have done it; only the
password is missing unless it is asked for. With a `Pin` they may withdraw as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from config.sections import Settings
from config.settings import load_settings
from penpay.adapters.database import Database
from penpay.adapters.passwords import Argon2Passwords
from penpay.adapters.sql_text import row, with_schemas
from penpay.adapters.system import RandomUlids
from penpay.adapters.tokens import EdDsaTokens
from penpay.app.outside import sealer_of, token_seeds
from penpay.domain.accounts import Claims
from penpay.domain.identity import mask_phone
from penpay.domain.ids import shard_of
from penpay.ports import Sealer

PIN = "274913"
SESSION_S = 6 * 3600
"""Longer than any benchmark: nobody refreshes."""
_ROWS_PER_STATEMENT = 500
_STATEMENTS = {
    "users": """
INSERT INTO {users}.users
  (id, shard, email_index, phone_index, verified_phone_index, email_sealed, phone_sealed, name_sealed, phone_mask,
   password_hash, pin_hash, kyc_tier, phone_verified_at, created_at, updated_at)
VALUES """,
    "data_keys": "INSERT INTO {users}.data_keys (user_id, wrapped, created_at) VALUES ",
    "deriv_links": """
INSERT INTO {users}.deriv_links
  (user_id, status, loginid, active_loginid, currency, token_sealed, fullname_sealed, email_sealed, linked_at,
   updated_at)
VALUES """,
    "sessions": """
INSERT INTO {users}.sessions (id, user_id, device_id, device_name, platform, created_at, used_at, expires_at)
VALUES """,
}


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer who may deposit, and the access token that says so."""

    number: int
    user_id: str
    session_id: str
    token: str

    @property
    def msisdn(self) -> str:
        """Their verified phone."""
        return f"2547{self.number:08d}"

    @property
    def loginid(self) -> str:
        """Their Deriv account: the sandbox has every one of this form."""
        return f"CRB{self.number}"

    @property
    def email(self) -> str:
        """Where Deriv mails their codes."""
        return f"{self.loginid.lower()}@customers.example"


@dataclass(frozen=True, slots=True)
class Pin:
    """Everybody's PIN. `real` customers have it hashed as a node would; for those after them that would take hours."""

    text: str
    real: int


async def seed(
    environment: Mapping[str, str], count: int, *, first: int = 1, pin: Pin | None = None, password: str = ""
) -> Sequence[Customer]:
    """Write `count` customers, numbered from `first`. `environment` is the node's: the keys are its own.

    With a `password`, which all of them share, they can also sign in.
    """
    settings = load_settings(environment, dotenv=None)
    customers = _drawn(settings, count, first)
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    sealer, at = sealer_of(settings), datetime.now(UTC)
    hashes, password_hash = await _pin_hashes(settings, customers, pin), await _password_hash(settings, password)
    try:
        for start in range(0, count, _ROWS_PER_STATEMENT):
            rows = [
                _rows(customer, settings.node.shards, sealer, at, password_hash, hashes.get(customer.user_id, ""))
                for customer in customers[start : start + _ROWS_PER_STATEMENT]
            ]
            for table, statement in _STATEMENTS.items():
                values = ",".join(of[table] for of in rows)
                await database.write(with_schemas(statement, settings.database.prefix) + values)
    finally:
        database.close()
    return customers


def stored(customers: Sequence[Customer], path: Path) -> None:
    """Hand them to another process."""
    with path.open("wb") as file:
        for one in customers:
            file.write(orjson.dumps([one.number, one.user_id, one.session_id, one.token]) + b"\n")


def restored(path: Path, *, first: int, count: int) -> list[Customer]:
    """Some of those that were stored, by their place in the file."""
    lines = path.read_bytes().splitlines()[first : first + count]
    return [Customer(*orjson.loads(line)) for line in lines]


def _drawn(settings: Settings, count: int, first: int) -> list[Customer]:
    """Identities and tokens, signed with the node's key."""
    ids, now = RandomUlids(), datetime.now(UTC)
    signing = EdDsaTokens(seeds=token_seeds(settings), lifetime_s=SESSION_S)
    drawn = []
    for number in range(first, first + count):
        claims = Claims(ids.ulid(), ids.ulid())
        drawn.append(Customer(number, claims.user_id, claims.session_id, signing.issue(claims, at=now)))
    return drawn


async def _pin_hashes(settings: Settings, customers: Sequence[Customer], pin: Pin | None) -> Mapping[str, str]:
    """By user. The form of a hash carries its cost, so cheap ones are checked like all others, only faster."""
    if pin is None:
        return {}
    pepper = settings.security.password_pepper.get_secret_value()
    real = Argon2Passwords(pepper=pepper)
    cheap = Argon2Passwords(pepper=pepper, memory_kib=8, passes=1)
    try:
        return {
            one.user_id: await (real if place < pin.real else cheap).hash_pin(one.user_id, pin.text)
            for place, one in enumerate(customers)
        }
    finally:
        real.close()
        cheap.close()


async def _password_hash(settings: Settings, password: str) -> str:
    if not password:
        return ""
    passwords = Argon2Passwords(pepper=settings.security.password_pepper.get_secret_value())
    try:
        return await passwords.hash_password(password)
    finally:
        passwords.close()


def _rows(
    one: Customer, shards: int, sealer: Sealer, at: datetime, password_hash: str, pin_hash: str
) -> Mapping[str, str]:
    """One row text per table, with the same places and indexes as the store of identities uses."""
    email, data_key = one.email, sealer.new_data_key(one.user_id)

    def sealed(table: str, column: str, value: str) -> bytes:
        aad = f"{table}|{column}|{one.user_id}"
        return sealer.seal(value.encode(), aad=aad, user_id=one.user_id, data_key=data_key)

    phone_index = sealer.blind_index(f"phone|{one.msisdn}")
    return {
        "users": row(
            *(one.user_id, shard_of(one.user_id, shards), sealer.blind_index(f"email|{email}")),
            *(phone_index, phone_index, sealed("users", "email_sealed", email)),
            *(sealed("users", "phone_sealed", one.msisdn), sealed("users", "name_sealed", f"Bench {one.number}")),
            *(mask_phone(one.msisdn), password_hash, pin_hash, 1, at, at, at),
        ),
        "data_keys": row(one.user_id, data_key, at),
        "deriv_links": row(
            *(one.user_id, "active", one.loginid, one.loginid, "USD"),
            *(sealed("deriv_links", "token_sealed", f"a1-{one.loginid}"),),
            *(sealed("deriv_links", "fullname_sealed", ""), sealed("deriv_links", "email_sealed", email), at, at),
        ),
        "sessions": row(
            *(one.session_id, one.user_id, f"bench-{one.number}", "bench", "android"),
            *(at, at, at + timedelta(seconds=SESSION_S)),
        ),
    }
