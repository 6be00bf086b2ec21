import io
import json
import logging
import re

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from config import logging as logging_of_ours
from config.logging import configure_logging, redact, redact_text

SECRETS = {
    "pin": "482915",
    "password": "correct horse",
    "verification_code": "xY9-81",
    "access_token": "eyJhbGciOi.eyJzdWIi.c2ln",
    "agent_token": "a1-Qw8sDf7Gh2Jk",
    "Authorization": "Bearer abcdef123456",
    "consumer_secret": "kq7",
    "api_key": "atsk_44",
    "passkey": "bfb279f9",
    "SecurityCredential": "EsJocK7+NjqZ==",
    "full_name": "Wanjiru Kamau",
    "token1": "a1-Zx8sDf7Gh2Jk",
}


@pytest.fixture
def lines():
    stream = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logging(form="json", level="debug", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().handlers[:], level = before
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_field_with_a_secret_name_is_never_written(name, lines):
    log = structlog.get_logger("penpay.test")
    log.info("login", **{name: SECRETS[name]})
    log.info("login", body={"outer": [{name: SECRETS[name]}]})
    logging.getLogger("library").warning("seen", extra={name: SECRETS[name]})
    assert len(lines()) == 3
    assert SECRETS[name] not in json.dumps(lines())


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("push to 254712345126 refused", "254712345126"),
        ("push to +254712345126 refused", "712345126"),
        ("push to 0712345126.", "0712345126"),
        ("phone=0112345126,", "0112345126"),
        ("mail wanjiru.k@example.co.ke bounced", "wanjiru.k"),
        ("GET /deriv/callback?acct1=CR1&token1=a1-abcdefgh123&cur1=USD&state=s3cr3t", "a1-abcdefgh123"),
        ("GET /deriv/callback?acct1=CR1&token1=a1-abcdefgh123&cur1=USD&state=s3cr3t", "s3cr3t"),
        ("POST /cb/d/01ab34cdef5678900000 200", "01ab34cdef5678900000"),
        ("connect mysql://app:hunter2@db/", "hunter2"),
        ('{"password": "hunter2", "x": 1}', "hunter2"),
        ("pin: 482915 given", "482915"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("jwt eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.sig-na_ture", "eyJzdWIiOiIxIn0"),
        ("jwt-eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.sig-na_ture", "eyJzdWIiOiIxIn0"),
    ],
)
def test_a_secret_inside_a_sentence_is_masked_wherever_it_stands(text, secret, lines):
    structlog.get_logger().info(text)
    logging.getLogger("library").warning("%s", text)
    structlog.get_logger().info("x", detail=[text])
    logging.getLogger("library").error("failed", exc_info=ValueError(text))
    assert len(lines()) == 4
    assert secret not in json.dumps(lines())


@given(st.text(alphabet="0127 45+.@:=/?&cbtokeniaeyJ1-_BearsicBS\n\r", max_size=60))
@example("x=1\nBASIC abcdefgh")
@example("٠٧١٢٣٤٥٦٧٨")
def test_the_first_look_never_lets_a_secret_pass(text):
    masked = text
    for shape, mask in logging_of_ours._MASKED_SHAPES:
        masked = shape.sub(mask, masked)
    assert redact_text(text) == masked.replace("\r", "\\r").replace("\n", "\\n")


PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@([A-Za-z0-9.-]+\.[A-Za-z]{2,})")


@given(st.text(alphabet="0127245eyJa1_BearsicPINtoken٤", max_size=30))
@example("254712345678")
@example("0712345678")
def test_nor_does_the_look_whether_it_is_one_word(text):
    masked = text
    for shape, mask in logging_of_ours._MASKED_SHAPES:
        masked = shape.sub(mask, masked)
    assert redact_text(text) == masked


@given(st.text(alphabet="ab1.@-_+% \n", max_size=60))
@example("a@b.aa1@b.aa")
@example("a@b.aa_b@b.aa%1@b.aa")
@example("@b.aa@b.aa")
def test_addresses_are_masked_as_if_every_place_had_been_tried(text):
    [(shape, mask)] = [one for one in logging_of_ours._MASKED_SHAPES if one[0].search("a@b.aa")]
    assert shape.sub(mask, text) == PLAIN_ADDRESS.sub(r"***@\1", text)


PLAIN_TOKEN = re.compile(r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*")


@given(st.text(alphabet="eyJab-_. \n", max_size=60))
@example("eyJ-eyJaaaaa.eyJaaaaa.eyJaaaaa.eyJaaaaa")
def test_tokens_are_masked_as_if_every_place_had_been_tried(text):
    [(shape, mask)] = [one for one in logging_of_ours._MASKED_SHAPES if one[0].search("eyJaaaaa.b.c")]
    assert shape.sub(mask, text) == PLAIN_TOKEN.sub("[hidden]", text)


def test_a_masked_phone_can_still_be_recognised():
    assert redact_text("push to 254712345126") == "push to 2547****126"
    assert redact(None, "", {"phone": "254712345126"}) == {"phone": "2547****126"}
    assert redact(None, "", {"msisdn": 254712345126}) == {"msisdn": "2547****126"}
    assert redact(None, "", {"rows": [254712345126]}) == {"rows": ["2547****126"]}


@pytest.mark.parametrize(
    "event",
    [
        {"event": "transition", "from": "PAID", "to": "DERIV_SENDING", "ms": 12},
        {"transaction_id": "01JD5Z0Q3V8Y7W6T5S4R3P2N1M", "amount_minor": 130000, "epoch": 7},
        {"receipt": "SKJ4H7L2XP", "code": "1032", "address": "shards/3/ledger"},
        {"epoch_us": 1732000000123456, "checkout_request_id": "ws_CO_191220191020363925"},
    ],
)
def test_what_an_operator_needs_stays_readable(event):
    assert redact(None, "", dict(event)) == event


def test_a_line_break_in_a_value_cannot_forge_a_line(lines):
    structlog.get_logger().info("login", user_agent='x\r\n{"event":"forged"}')
    assert [line["event"] for line in lines()] == ["login"]


def test_lines_of_libraries_have_the_same_shape_and_context(lines):
    with structlog.contextvars.bound_contextvars(transaction_id="T1"):
        structlog.get_logger("penpay").info("ours")
        logging.getLogger("aiohttp.server").error("theirs")
    for line in lines():
        assert line.keys() >= {"event", "level", "at", "logger", "transaction_id"}


def test_a_line_below_the_level_is_not_written():
    stream = io.StringIO()
    configure_logging(form="console", level="warning", stream=stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud", phone="254712345126")
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
    assert "2547****126" in stream.getvalue()
