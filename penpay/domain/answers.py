"""Stored answers of idempotent routes: how their bodies are bound and how requests are compared.

Written by the users' actors, re-read by the edge when an answer did not arrive in time.
"""

from collections.abc import Mapping
from hashlib import sha256

from penpay.domain.json_text import canonical_bytes

ROUTE_DEPOSITS = "POST /api/v1/deposits"
ROUTE_WITHDRAWAL_CODES = "POST /api/v1/withdrawals/code"
ROUTE_WITHDRAWALS = "POST /api/v1/withdrawals"
"""Routes as they are stored with keys and answers."""
_NEVER_COMPARED = frozenset({"pin", "verification_code"})
"""A fingerprint over these would let a key be used to guess them."""


def answer_aad(route: str, key_hash: str) -> str:
    """Associated data of the sealed body: table, column, row. The sealer adds the user."""
    return f"answers|sealed_body|{route}|{key_hash}"


def key_hash_of(key: str) -> str:
    """What is stored of an Idempotency-Key: 64 hex digits."""
    return sha256(key.encode()).hexdigest()


def comparable(body: Mapping[str, object]) -> bytes:
    """Canonical bytes of a request body, for its keyed fingerprint: without secrets, order and white space."""
    return canonical_bytes({name: value for name, value in body.items() if name not in _NEVER_COMPARED})
