import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from config.limits import FORBIDDEN_IN_URLS
from penpay.adapters.crypto import HmacCallbackTokens, KeySealer, security_credential
from penpay.adapters.system import RandomUlids, SystemClock
from penpay.domain.ids import is_ulid, ulid
from penpay.domain.mpesa_callbacks import PATHS

KEYS = {1: b"a" * 32, 2: b"b" * 32}
OPERATION = "01J9ZK3W000000000000000000"


@pytest.fixture
def sealer():
    return KeySealer(keys=KEYS, current=1, blind_index_key=b"i" * 32)


@pytest.fixture
def tokens():
    return HmacCallbackTokens(public_url="https://pay.example/", keys=KEYS, current=2)


@given(st.binary(max_size=500), st.text(max_size=30), st.text(max_size=30))
def test_what_is_sealed_opens_at_its_place_only(plaintext, place, other):
    sealer = KeySealer(keys=KEYS, current=1, blind_index_key=b"i" * 32)
    sealed = sealer.seal(plaintext, aad=place)
    assert sealer.open(sealed, aad=place) == plaintext
    if other != place:
        with pytest.raises(ValueError, match="moved or altered"):
            sealer.open(sealed, aad=other)


def test_every_altered_byte_is_noticed(sealer):
    sealed = sealer.seal(b"254708374149", aad="a|b|c")
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(ValueError, match=r"moved|gone"):
            sealer.open(bytes(altered), aad="a|b|c")


def test_sealing_twice_shows_nothing_in_common(sealer):
    first, second = sealer.seal(b"same", aad="p"), sealer.seal(b"same", aad="p")
    assert first[5:] != second[5:]


def test_a_users_field_opens_with_that_users_key_only(sealer):
    mine, yours = sealer.new_data_key("u1"), sealer.new_data_key("u2")
    sealed = sealer.seal(b"phone", aad="t|c|1", user_id="u1", data_key=mine)
    assert sealer.open(sealed, aad="t|c|1", user_id="u1", data_key=mine) == b"phone"
    with pytest.raises(ValueError, match="gone"):
        sealer.open(sealed, aad="t|c|1", user_id="u1")
    with pytest.raises(ValueError, match="gone"):
        sealer.open(sealed, aad="t|c|1", user_id="u2", data_key=yours)
    with pytest.raises(ValueError, match="moved"):
        sealer.open(sealed, aad="t|c|1", user_id="u2", data_key=mine)


def test_the_opened_keys_of_few_customers_are_held(sealer):
    """Each takes 3 KB, most of them outside of Python's sight: for thousands who only wait that was 10 MiB."""
    wrapped = {f"u{number}": sealer.new_data_key(f"u{number}") for number in range(600)}
    sealed = {user: sealer.seal(b"phone", aad="p", user_id=user, data_key=key) for user, key in wrapped.items()}
    assert len(sealer._opened) <= 512
    opened = {sealer.open(sealed[user], aad="p", user_id=user, data_key=key) for user, key in wrapped.items()}
    assert opened == {b"phone"}


def test_a_retired_key_still_opens_and_a_removed_one_does_not(sealer):
    sealed = sealer.seal(b"x", aad="p")
    wrapped = sealer.new_data_key("u")
    rotated = KeySealer(keys=KEYS, current=2, blind_index_key=b"i" * 32)
    assert rotated.open(sealed, aad="p") == b"x"
    assert rotated.open(
        rotated.seal(b"y", aad="p", user_id="u", data_key=wrapped), aad="p", user_id="u", data_key=wrapped
    )
    without = KeySealer(keys={2: KEYS[2]}, current=2, blind_index_key=b"i" * 32)
    with pytest.raises(ValueError, match="gone"):
        without.open(sealed, aad="p")


def test_blind_index_and_fingerprint_are_stable_and_differ(sealer):
    again = KeySealer(keys={7: b"z" * 32}, current=7, blind_index_key=b"i" * 32)
    assert sealer.blind_index("+254") == again.blind_index("+254")
    assert len(sealer.blind_index("x")) == 32
    assert sealer.blind_index("x").hex() != sealer.fingerprint(b"x")


@pytest.mark.parametrize("keys", [{}, {2: b"short"}, {3: b"c" * 32}])
def test_bad_keys_stop_the_start(keys):
    with pytest.raises(ValueError, match="key"):
        KeySealer(keys=keys, current=2, blind_index_key=b"i" * 32)
    with pytest.raises(ValueError, match="key"):
        HmacCallbackTokens(public_url="https://x", keys=keys, current=2)


@pytest.mark.parametrize("kind", PATHS.values())
def test_a_token_opens_its_own_kind_only(tokens, kind):
    url = tokens.url(kind, 3, OPERATION)
    letter, token = url.removeprefix("https://pay.example/cb/").split("/")
    assert PATHS[letter] == kind
    assert tokens.verify(kind, token) == (3, OPERATION)
    for other in set(PATHS.values()) - {kind}:
        assert tokens.verify(other, token) is None


@given(st.integers(0, 0xFFFF), st.binary(min_size=10, max_size=10))
def test_no_callback_url_holds_a_forbidden_word(shard, chance):
    tokens = HmacCallbackTokens(public_url="https://pay.example", keys=KEYS, current=1)
    for kind in PATHS.values():
        url = tokens.url(kind, shard, ulid(1_760_000_000_000, chance)).lower()
        assert not any(word in url for word in FORBIDDEN_IN_URLS)


def test_a_token_with_any_changed_digit_is_unknown(tokens):
    token = tokens.url("stk", 3, OPERATION).rsplit("/", 1)[1]
    for position, digit in enumerate(token):
        changed = token[:position] + ("0" if digit != "0" else "1") + token[position + 1 :]
        assert tokens.verify("stk", changed) is None
    for other in ("", token.upper(), token + "00", token[:-2], " " + token[1:], "é" * len(token)):
        assert other == token or tokens.verify("stk", other) is None


def test_a_token_of_the_former_key_still_works(tokens):
    former = HmacCallbackTokens(public_url="https://pay.example", keys={1: KEYS[1]}, current=1)
    assert tokens.verify("stk", former.url("stk", 0, OPERATION).rsplit("/", 1)[1]) == (0, OPERATION)
    assert former.verify("stk", tokens.url("stk", 0, OPERATION).rsplit("/", 1)[1]) is None


def test_the_security_credential_is_the_password_under_the_certificate():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    credential = security_credential(pem, "Safaricom#123")
    assert len(credential) == 344
    assert key.decrypt(base64.b64decode(credential), padding.PKCS1v15()) == b"Safaricom#123"


def test_a_certificate_without_an_rsa_key_stops_the_start():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="RSA"):
        security_credential(pem, "x")


def test_the_system_gives_aware_times_and_fresh_ulids():
    ids = RandomUlids()
    drawn = [ids.ulid() for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert all(map(is_ulid, drawn))
    clock = SystemClock()
    assert clock.now().utcoffset().total_seconds() == 0
    assert clock.monotonic_s() <= clock.monotonic_s()
