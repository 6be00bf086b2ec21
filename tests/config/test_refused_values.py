"""A value that could not work is refused at start, with one line that names its variable."""

from pathlib import Path

import pytest

from config.limits import FORBIDDEN_IN_URLS
from tests.config.test_settings import MANDATORY, load, refusal

URL = "PENPAY_HTTP__PUBLIC_URL"


@pytest.fixture
def development(tmp_path: Path) -> dict[str, str]:
    return {"APP_ENV": "development", "HOME": str(tmp_path), **MANDATORY}


@pytest.mark.parametrize("word", FORBIDDEN_IN_URLS)
def test_an_address_that_safaricom_refuses_is_named_as_a_setting(development: dict[str, str], word: str):
    assert refusal(development | {URL: f"https://{word}.example"}).startswith(f"{URL}: contains {word!r}")
    assert refusal(development | {URL: f"https://pay.example/{word.upper()}/x"}).startswith(f"{URL}: contains {word!r}")


@pytest.mark.parametrize("end", ["?x=1", "#x", "/a?", "/a#"])
def test_what_callback_paths_are_put_behind_ends_with_its_path(development: dict[str, str], end: str):
    assert refusal(development | {URL: f"https://pay.example{end}"}).startswith(f"{URL}: must end with its host or")


def test_a_public_address_has_a_host_and_names_nobody(development: dict[str, str]):
    assert refusal(development | {URL: "https:pay.example"}).startswith(f"{URL}: must be")
    assert refusal(development | {URL: "https://ops:word@pay.example"}).startswith(f"{URL}: must not name a user")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STK_POLL_LADDER_S", "30,20,60"),
        ("STK_GRACE_S", "900"),
        ("STK_UNKNOWN_S", "180"),
        ("STK_UNKNOWN_S", "86400"),
        ("STK_POLL_UNTIL_S", "900"),
    ],
)
def test_times_that_no_saga_could_keep_are_refused_before_it_is_made(
    development: dict[str, str], name: str, value: str
):
    line = refusal(development | {f"PENPAY_TIMING__{name}": value})
    assert line.startswith("PENPAY_TIMING__")
    assert name in line


@pytest.mark.parametrize("value", ["redis://h/abc", "redis://h/-1", "redis://h/1/2", "unix:///run/redis.sock?db=x"])
def test_redis_is_named_with_a_number_of_its_database(development: dict[str, str], value: str):
    assert refusal(development | {"PENPAY_REDIS__URL": value}).startswith("PENPAY_REDIS__URL: ")


@pytest.mark.parametrize("value", ["redis://h", "rediss://h/", "redis://h/15", "unix:///run/redis.sock?db=3"])
def test_redis_needs_no_number(development: dict[str, str], value: str):
    assert load(development | {"PENPAY_REDIS__URL": value}).redis.url.get_secret_value() == value


@pytest.mark.parametrize("option", ["unix_sock=/run/x", "ssl_ca=/etc/ca.pem", "unix_socket=/run/x&charset=utf8"])
def test_what_the_database_is_not_asked_is_not_silently_forgotten(development: dict[str, str], option: str):
    """Whoever asked for TLS would have got none, and whoever misspelt the socket another server."""
    for name in ("PENPAY_DATABASE__URL", "PENPAY_DATABASE__ADMIN_URL"):
        line = refusal(development | {name: f"mysql://app:word@localhost/?{option}"})
        assert line == f"{name}: takes no option but unix_socket"


@pytest.mark.parametrize(
    "value", ["", "x", "a@b c", "PenPay", "PenPay <>", "\r\nx@y.z", "a@b.example\nBcc: c@d.example"]
)
def test_mail_comes_from_an_address(development: dict[str, str], value: str):
    said = refusal(development | {"PENPAY_SMTP__HOST": "mail.example", "PENPAY_SMTP__FROM": value})
    assert said.startswith("PENPAY_SMTP__…: FROM must be an address")


@pytest.mark.parametrize("value", ["a@b.example", "PenPay <no-reply@penpay.example>", '"Pen, Pay" <a@localhost>'])
def test_mail_may_come_from_a_name_with_its_address(development: dict[str, str], value: str):
    given = load(development | {"PENPAY_SMTP__HOST": "mail.example", "PENPAY_SMTP__FROM": value})
    assert given.smtp.sender == value


@pytest.mark.parametrize(
    "name",
    ["PENPAY_DARAJA__CERTIFICATE", "PENPAY_NODE__STATE_DIR", "PENPAY_AUDIT__ANCHOR_DIR", "PENPAY_SMS__API_KEY_FILE"],
)
def test_no_path_is_not_the_working_directory(development: dict[str, str], name: str):
    given = {other: value for other, value in development.items() if other != name.removesuffix("_FILE")}
    assert refusal(given | {name: ""}) == f"{name}: is empty"
