"""S5: only what our own key signed for this API opens anything; no token chooses how it is checked."""

import base64
import json
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from penpay.adapters.tokens import EdDsaTokens, _key_id
from penpay.domain.accounts import Claims
from tests.http.world import Customer, World

SEED, OLD_SEED, FOREIGN_SEED = (bytes([n]) * 32 for n in (1, 2, 3))


@pytest.fixture
def ours(customer: Customer) -> dict[str, object]:
    return dict(jwt.decode(customer.access, options={"verify_signature": False}))


@pytest.fixture
def head(customer: Customer) -> dict[str, object]:
    return dict(jwt.get_unverified_header(customer.access))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(world: World, head: dict[str, object], claims: dict[str, object]) -> str:
    """By our own key: everything but the point in question is right."""
    text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(world.edge.tokens._key.sign(text.encode()))}"


async def status(world: World, token: str) -> int:
    return (await world.call("GET", "/me", headers={"Authorization": f"Bearer {token}"})).status


async def test_what_our_key_signed_is_taken(world: World, head, ours):
    assert await status(world, signed(world, head, ours)) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "penpay-admin"},
        {"aud": ["penpay-api", "x"], "iss": "somebody"},
        {"iss": "somebody"},
        {"exp": 1},
        {"exp": "4102444800"},
        {"nbf": 4_102_444_800},
        {"sub": "01KAF0Z3T9V5N5W6H3C8Q2YB7D"},
        {"sub": "' OR 1=1 --"},
        {"sid": "01KAF0Z3T9V5N5W6H3C8Q2YB7D"},
        *({name: None} for name in ("iss", "aud", "exp", "nbf", "iat", "sub", "sid")),
    ],
    ids=str,
)
async def test_other_claims_are_refused(world: World, head, ours, change):
    claims = {key: value for key, value in (ours | change).items() if value is not None}
    assert await status(world, signed(world, head, claims)) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "0000000000000000"},
        {"kid": "../../dev/null"},
        {"kid": None},
        {"typ": "JWT"},
        {"typ": "refresh+jwt"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}},
        {"crit": ["b64"], "b64": False},
    ],
    ids=str,
)
async def test_other_heads_are_refused(world: World, head, ours, change):
    changed = {key: value for key, value in (head | change).items() if value is not None}
    assert await status(world, signed(world, changed, ours)) == 401


async def test_a_token_without_a_signature_is_refused(world: World, head, ours):
    for algorithm in ("none", "EdDSA"):
        bare = b64(json.dumps(head | {"alg": algorithm}).encode()) + "." + b64(json.dumps(ours).encode()) + "."
        assert await status(world, bare) == 401


async def test_the_public_key_is_no_secret_of_hmac(world: World, head, ours):
    public = world.edge.tokens._key.public_key()
    for secret in (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    ):
        text = f"{b64(json.dumps(head | {'alg': 'HS256'}).encode())}.{b64(json.dumps(ours).encode())}"
        code = jwt.get_algorithm_by_name("HS256").sign(text.encode(), secret.ljust(32, b"\0"))
        assert await status(world, f"{text}.{b64(code)}") == 401


async def test_a_foreign_key_under_our_name_is_refused(world: World, head, ours):
    foreign = Ed25519PrivateKey.from_private_bytes(FOREIGN_SEED)
    text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(ours).encode())}"
    assert await status(world, f"{text}.{b64(foreign.sign(text.encode()))}") == 401


async def test_a_users_token_opens_nothing_for_staff_and_other_things_are_no_token(world: World, customer: Customer):
    for given in ("", "x", customer.refresh, customer.access[:-2], customer.access + "A" * 2000, "ä.ö.ü"):
        assert await status(world, given.encode().decode("latin-1", "replace")) == 401


def test_keys_change_without_signing_anybody_out(customer: Customer):
    """`1:old` → `1:old,2:new` → `2:new,1:old` → `2:new`: what was signed before is taken until its key goes."""
    who, at = Claims(customer.id, customer.id), customer.world.edge.clock.now()
    before = EdDsaTokens(seeds=[OLD_SEED], lifetime_s=900)
    learning = EdDsaTokens(seeds=[OLD_SEED, SEED], lifetime_s=900)
    turned = EdDsaTokens(seeds=[SEED, OLD_SEED], lifetime_s=900)
    after = EdDsaTokens(seeds=[SEED], lifetime_s=900)
    old, new = before.issue(who, at=at), turned.issue(who, at=at)
    assert jwt.get_unverified_header(new)["kid"] == _key_id(SEED) != jwt.get_unverified_header(old)["kid"]
    assert [ring.read(old, at=at) for ring in (before, learning, turned, after)] == [who, who, who, None]
    assert [ring.read(new, at=at) for ring in (before, learning, turned, after)] == [None, who, who, who]


async def test_times_are_judged_also_of_tokens_that_were_seen_before(world: World, customer: Customer, clock):
    assert await status(world, customer.access) == 200
    clock.ahead = timedelta(minutes=16)
    assert await status(world, customer.access) == 401
