"""S23: addresses that the provider is given hold no word that it refuses, and are https in production."""

import pytest

from config.environment import SettingsError
from config.limits import FORBIDDEN_IN_URLS
from config.settings import load_settings
from penpay.adapters.crypto import HmacCallbackTokens
from penpay.domain.ids import ulid
from penpay.domain.mpesa_callbacks import PATHS
from tests.config.test_settings import PRODUCTION


def test_no_address_ever_spells_a_word_that_the_provider_refuses():
    tokens = HmacCallbackTokens(public_url="https://pay.example", keys={1: b"k" * 32}, current=1)
    for kind in PATHS.values():
        for number in range(200):
            url = tokens.url(kind, number, ulid(1_763_600_000_000 + number, bytes([number]) * 10)).lower()
            assert url.startswith("https://pay.example/cb/")
            assert not [word for word in ("mpesa", "safaricom", "query", "sql", "cmd", "exec") if word in url]


@pytest.mark.parametrize("word", FORBIDDEN_IN_URLS)
def test_a_host_with_such_a_word_does_not_start(word: str):
    with pytest.raises(SettingsError, match=f"PENPAY_HTTP__PUBLIC_URL: contains '{word}'"):
        load_settings(PRODUCTION | {"PENPAY_HTTP__PUBLIC_URL": f"https://{word}.example"}, dotenv=None)


def test_production_wants_https():
    with pytest.raises(SettingsError, match="PUBLIC_URL must be https"):
        load_settings(PRODUCTION | {"PENPAY_HTTP__PUBLIC_URL": "http://pay.example"}, dotenv=None)
