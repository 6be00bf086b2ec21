"""Access tokens and slow hashes."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from penpay.adapters.passwords import Argon2Passwords, Lane
from penpay.adapters.secrets import SystemSecrets
from penpay.adapters.tokens import EdDsaTokens
from penpay.domain.accounts import Claims
from penpay.domain.errors import Unavailable

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEED = bytes(range(32))
WHO = Claims("01KAF0Z3T9V5N5W6H3C8Q2YB7D", "01KAF0Z3T9V5N5W6H3C8Q2YB7E")


@pytest.fixture
def tokens() -> EdDsaTokens:
    return EdDsaTokens(seeds=[SEED], lifetime_s=900)


def parts(token: str) -> tuple[dict[str, object], dict[str, object]]:
    head, body, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(one + "==")) for one in (head, body))


def test_a_token_is_read_by_whoever_has_the_key(tokens: EdDsaTokens):
    token = tokens.issue(WHO, at=NOW)
    assert EdDsaTokens(seeds=[SEED], lifetime_s=900).read(token, at=NOW) == WHO
    assert EdDsaTokens(seeds=[bytes(32), SEED], lifetime_s=900).read(token, at=NOW) == WHO
    assert EdDsaTokens(seeds=[bytes(32)], lifetime_s=900).read(token, at=NOW) is None


def test_a_token_says_little_and_names_its_key(tokens: EdDsaTokens):
    head, body = parts(tokens.issue(WHO, at=NOW))
    assert head.keys() == {"alg", "typ", "kid"}
    assert body.keys() == {"iss", "aud", "sub", "sid", "iat", "nbf", "exp"}
    assert body["exp"] - body["iat"] == 900


@pytest.mark.parametrize(("seconds", "valid"), [(-31, False), (-30, True), (0, True), (929, True), (931, False)])
def test_a_token_lives_fifteen_minutes_whether_seen_before_or_not(tokens: EdDsaTokens, seconds: int, valid: bool):
    token = tokens.issue(WHO, at=NOW)
    at = NOW + timedelta(seconds=seconds)
    assert (EdDsaTokens(seeds=[SEED], lifetime_s=900).read(token, at=at) == WHO) is valid
    if seconds >= 0:
        assert tokens.read(token, at=NOW) == WHO
        assert (tokens.read(token, at=at) == WHO) is valid


def forged(tokens: EdDsaTokens, head: dict[str, object], body: dict[str, object], key: object, algorithm: str) -> str:
    real_head, real_body = parts(tokens.issue(WHO, at=NOW))
    return jwt.encode({**real_body, **body}, key, algorithm=algorithm, headers={**real_head, "alg": algorithm, **head})


def test_forged_tokens_are_nobodys(tokens: EdDsaTokens):
    own = tokens._key
    kid = parts(tokens.issue(WHO, at=NOW))[0]["kid"]
    other = EdDsaTokens(seeds=[bytes(32)], lifetime_s=900)._key
    cases = [
        forged(tokens, {}, {}, None, "none"),
        forged(tokens, {}, {}, "k" * 64, "HS256"),
        forged(tokens, {}, {}, other, "EdDSA"),
        forged(tokens, {"kid": "other"}, {}, own, "EdDSA"),
        forged(tokens, {"typ": "JWT"}, {}, own, "EdDSA"),
        forged(tokens, {}, {"aud": "penpay-admin"}, own, "EdDSA"),
        forged(tokens, {}, {"iss": "else"}, own, "EdDSA"),
        forged(tokens, {}, {"nbf": int(NOW.timestamp()) + 60}, own, "EdDSA"),
        forged(tokens, {}, {"exp": int(NOW.timestamp()) - 60}, own, "EdDSA"),
        forged(tokens, {}, {"exp": "9999999999"}, own, "EdDSA"),
        forged(tokens, {}, {"sub": "somebody"}, own, "EdDSA"),
        forged(tokens, {"kid": kid, "jwk": {"kty": "oct", "k": "AAAA"}}, {}, other, "EdDSA"),
        tokens.issue(WHO, at=NOW)[:-4] + "AAAA",
        "a.b.c",
        "",
        "é" * 10,
        "x" * 2000,
    ]
    assert [tokens.read(case, at=NOW) for case in cases] == [None] * len(cases)
    assert tokens.read(forged(tokens, {}, {}, own, "EdDSA"), at=NOW) == WHO


@pytest.fixture
def passwords():
    made = Argon2Passwords(pepper=b"pepper")
    yield made
    made.close()


async def test_hashes_have_the_decided_cost_and_a_pepper(passwords: Argon2Passwords):
    stored = await passwords.hash_password("maji ya ndizi")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.check_password(stored, "maji ya ndizi")
    assert not await passwords.check_password(stored, "maji ya ndizI")
    assert not passwords.is_outdated(stored)
    other = Argon2Passwords(pepper=b"other")
    assert not await other.check_password(stored, "maji ya ndizi")
    other.close()


async def test_nobodys_password_is_never_right(passwords: Argon2Passwords):
    assert not await passwords.check_password("", "nobody")
    assert not await passwords.check_password("not a hash", "x")


async def test_a_pin_hash_belongs_to_its_customer(passwords: Argon2Passwords):
    stored = await passwords.hash_pin("user-1", "480375")
    assert await passwords.check_pin("user-1", stored, "480375")
    assert not await passwords.check_pin("user-2", stored, "480375")
    assert not await passwords.check_password(stored, "480375")


async def test_cheaper_hashes_are_renewed():
    cheap = Argon2Passwords(pepper=b"p", memory_kib=64, passes=1)
    dear = Argon2Passwords(pepper=b"p", memory_kib=128, passes=1)
    stored = await cheap.hash_password("maji ya ndizi")
    assert dear.is_outdated(stored)
    assert await dear.check_password(stored, "maji ya ndizi")
    cheap.close()
    dear.close()


async def test_a_full_lane_refuses_at_once():
    lane = Lane("test", waiting_max=2)
    begun = asyncio.Event()
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> str:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(timeout=10)
        return "done"

    first, second = (asyncio.create_task(lane.run(slow)) for _ in range(2))
    await begun.wait()
    with pytest.raises(Unavailable):
        await lane.run(slow)
    release.set()
    assert [await first, await second] == ["done", "done"]
    assert await lane.run(lambda: "room again") == "room again"
    lane.close()


def test_codes_are_six_digits_and_tokens_long():
    secrets = SystemSecrets()
    codes = {secrets.code() for _ in range(200)}
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    assert len(codes) > 150
    assert len(secrets.token()) >= 43
