"""S39: JSON is bounded in depth, names and digits, and says each thing once."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penpay.http.json_body import _STRINGS, MalformedJson, parse_object
from tests.http.world import Customer

BOMBS = {
    "deep arrays": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "seventeen levels": b'{"a":' * 16 + b"[]" + b"}" * 16,
    "many names": json.dumps({f"n{n}": 1 for n in range(501)}).encode(),
    "a million digits": b'{"a":' + b"9" * 30_000 + b"}",
    "twenty digits": b'{"a":12345678901234567890}',
    "twenty negative digits": b'{"a":-1234567890123456789}',
    "a name twice": b'{"a":1,"a":2}',
    "a name twice, escaped": b'{"a":1,"\\u0061":2}',
    "a name twice, inside": b'{"a":{"b":1,"b":1}}',
    "not a number": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "half a character": b'{"a":"\\ud800"}',
    "half a name": b'{"\\udfff":1}',
    "bytes that are no text": b'{"a":"\xff"}',
    "overlong nul": b'{"a":"\xc0\x80"}',
    "a mark in front": b"\xef\xbb\xbf{}",
    "utf-16": '{"a":1}'.encode("utf-16"),
    "two values": b"{}{}",
    "a comment": b'{"a":1/* */}',
    "single quotes": b"{'a':1}",
    "a comma too many": b'{"a":1,}',
    "a control character": b'{"a":"\x01"}',
    "an array": b"[]",
    "a string": b'"{}"',
    "nothing": b"",
    "unclosed": b'{"a":"' + b"x" * 30_000,
    "a quote that never ends": b'{"' + b"\\" * 20_000,
    "quotes that never end": b"[" * 17 + b'"' + b'\\"' * 16_300,
}


async def test_each_is_refused_as_what_it_is(customer: Customer):
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    for name, bomb in BOMBS.items():
        answer = await customer.call("POST", "/deposits", headers=headers, data=bomb)
        assert (answer.status, answer.code) == (400, "malformed_json"), name
        assert len(answer.raw) < 1000, "nothing of it is quoted"


def test_what_is_just_within_the_bounds_is_taken():
    assert parse_object(b'{"a":' * 15 + b"[]" + b"}" * 15)
    assert len(parse_object(json.dumps({f"n{n}": 1 for n in range(500)}).encode())) == 500
    assert parse_object(b'{"a":1234567890123456789}') == {"a": 1234567890123456789}
    assert parse_object(b'{"a":"[[[[[[[[[[[[[[[[[[[[[[[[{{{{"}')
    assert parse_object('{"a":"😀"}'.encode()) == parse_object(b'{"a":"\\ud83d\\ude00"}')


def test_a_bomb_is_refused_before_it_is_parsed(monkeypatch):
    parsed = []
    monkeypatch.setattr("penpay.http.json_body._DECODE", parsed.append)
    for name in ("deep arrays", "deep objects", "many names"):
        with pytest.raises(MalformedJson):
            parse_object(BOMBS[name])
    assert parsed == []


@given(st.lists(st.sampled_from([b'"', b"\\", b'\\"', b"[", b"\n", b"9", b" "])).map(b"".join))
@example(BOMBS["a quote that never ends"])
@example(BOMBS["quotes that never end"])
def test_every_quote_belongs_to_one_string_so_that_none_is_read_from_twice(raw: bytes):
    assert b'"' not in _STRINGS.sub(b"", raw)
