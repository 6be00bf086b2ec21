"""Access tokens: EdDSA, 15 minutes, and nothing else is taken for one. Source: faults.md S5, S6."""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import jwt
from jwt.algorithms import OKPAlgorithm

from penpay.domain.accounts import Claims
from penpay.domain.ids import is_ulid

ISSUER = "penpay"
AUDIENCE = "penpay-api"
_TYPE = "at+jwt"
_HEADER = {"alg", "kid", "typ"}
"""A key or a place of one that a token brings along (jwk, jku, x5u) is none of ours, and neither is `crit`."""
_SKEW_S = 30
"""Clocks of our own nodes may differ by this much."""
_TOKEN_MAX = 1024
_SEEN_MAX = 4096
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of an Ed25519 seed in its PKCS#8 form (RFC 8410, 7)."""
_OKP = OKPAlgorithm()
_REQUIRED = ["iss", "aud", "exp", "nbf", "iat", "sub", "sid"]


class EdDsaTokens:
    """`penpay.http.accounts.AccessTokens`. `seeds` are 32 bytes each; the first signs, all verify.

    A token that was verified is remembered by its hash until it expires: the signature costs more than all the rest
    of reading a request. Whether its session still lives is read from the database every time.
    """

    def __init__(self, *, seeds: Sequence[bytes], lifetime_s: int) -> None:
        keys = {_key_id(seed): _key(seed) for seed in seeds}
        self._key_id = _key_id(seeds[0])
        self._key = keys[self._key_id]
        self._known = keys
        self._lifetime_s = lifetime_s
        self._seen: OrderedDict[bytes, tuple[Claims, int]] = OrderedDict()

    def issue(self, claims: Claims, *, at: datetime) -> str:
        now = int(at.timestamp())
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": claims.user_id,
            "sid": claims.session_id,
            "iat": now,
            "nbf": now,
            "exp": now + self._lifetime_s,
        }
        return jwt.encode(payload, self._key, algorithm="EdDSA", headers={"kid": self._key_id, "typ": _TYPE})

    def read(self, token: str, *, at: datetime) -> Claims | None:
        if len(token) > _TOKEN_MAX or not token.isascii():
            return None
        now = int(at.timestamp())
        digest = hashlib.sha256(token.encode()).digest()
        seen = self._seen.get(digest)
        if seen is None:
            seen = self._verified(token, now)
            if seen is None:
                return None
            self._seen[digest] = seen
            if len(self._seen) > _SEEN_MAX:
                self._seen.popitem(last=False)
        claims, expires = seen
        return claims if now < expires + _SKEW_S else None

    def _verified(self, token: str, now: int) -> tuple[Claims, int] | None:
        try:
            header = jwt.get_unverified_header(token)
            key = self._known.get(str(header.get("kid")))
            if key is None or header.keys() - _HEADER or header.get("typ") != _TYPE or header.get("alg") != "EdDSA":
                return None
            # Times are judged below, by the clock that we were given.
            payload = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        begins, expires, user_id, session_id = (payload[name] for name in ("nbf", "exp", "sub", "sid"))
        timely = type(begins) is int and type(expires) is int and begins - _SKEW_S <= now < expires + _SKEW_S
        if not (timely and is_ulid(user_id) and is_ulid(session_id)):
            return None
        return Claims(user_id, session_id), expires


def _key(seed: bytes) -> Any:
    assert len(seed) == 32, "an Ed25519 seed has 32 bytes"
    body = base64.b64encode(_PKCS8 + seed).decode()
    return _OKP.prepare_key(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")


def _key_id(seed: bytes) -> str:
    """Names a key without telling anything of it."""
    return hashlib.sha256(b"access token key|" + seed).hexdigest()[:16]
