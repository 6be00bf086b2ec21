"""The installation that is simulated: production's settings, with saga times divided so that a day is minutes."""

from functools import cache

from config.sections import Settings
from config.settings import load_settings

SPEED = 20.0
"""A second of the simulated world is twenty of a customer's. Leases, sweeps and reconnects keep their own seconds."""
AGENT = "CR900001"
AGENT_TOKEN = "agent-token-of-the-simulation"  # noqa: S105 - of a world that does not exist
SHORTCODE = "600000"
PAYING = "600001"
_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
_LONG_S = 300.0 * SPEED
"""What takes a day in production: too long for thousands of worlds, long enough for everything else to end first."""


_TIMING = {
    "SPEED": str(SPEED),
    "STK_POLL_UNTIL_S": str(_LONG_S),
    "STK_POLL_SPARSE_S": str(15.0 * SPEED),
    "REFUND_RECEIPT_WAIT_S": str(_LONG_S),
    "DERIV_HELD_UNTIL_S": str(_LONG_S),
    "UNKNOWN_UNTIL_S": str(_LONG_S * 0.8),
    # Beyond the end of every world: what was heard of must not wait for it.
    "B2C_RESEND_S": str(7200.0 * SPEED),
    "PULL_EVERY_S": str(15.0 * SPEED),
    "DARAJA_CALL_S": "1.5",
    "DERIV_CALL_S": "1.0",
    "FX_POLL_S": "10",
    "FLOAT_POLL_S": "20",
    "WITNESS_S": "15",
    "ANCHOR_S": "60",
    "OUTBOX_CURSOR_S": "5",
    "RAIL_RESTART_WAIT_S": "1.0",
    "RECIPIENT_CHECK_CACHE_S": str(600.0 / SPEED),
}
_LIMITS = {"STK_MIN_INTERVAL_S": str(60.0 / SPEED), "QUOTE_TTL_S": str(900.0 / SPEED)}
_SECURITY = {
    **dict.fromkeys(("FIELD_KEYS", "CALLBACK_KEY"), f"1:{_KEY}"),
    **dict.fromkeys(("JWT_KEY", "BLIND_INDEX_KEY", "PASSWORD_PEPPER", "AUDIT_SIGNING_KEY"), _KEY),
}
_NOWHERE = {
    "HTTP__PUBLIC_URL": "https://pay.example",
    "DATABASE__URL": "mysql://nobody@nowhere/",
    "REDIS__URL": "redis://nowhere",
    "DERIV__WS_URL": "wss://nowhere",
    "DERIV__APP_ID": "1",
    "DERIV__AGENT_TOKEN": AGENT_TOKEN,
    "DERIV__AGENT_LOGINID": AGENT,
    "DERIV__OAUTH_URL": "https://nowhere",
    "DARAJA__BASE_URL": "https://nowhere",
    "DARAJA__CONSUMER_KEY": "key",
    "DARAJA__CONSUMER_SECRET": "secret",
    "DARAJA__SHORTCODE": SHORTCODE,
    "DARAJA__B2C_SHORTCODE": PAYING,
    "DARAJA__PASSKEY": "passkey",
    "DARAJA__INITIATOR_NAME": "initiator",
    "DARAJA__INITIATOR_PASSWORD": "password",
    "DARAJA__CERTIFICATE": "certificate.pem",
    "FX__URL": "https://nowhere",
    "FX__SECOND_URL": "https://nowhere/too",
    "SMS__URL": "https://nowhere",
    "SMS__USERNAME": "nobody",
    "SMS__API_KEY": "key",
}
"""What is never dialled: in its place stands the simulated outside."""


def _environment(shards: int) -> dict[str, str]:
    named = {
        "NODE__NAME": "node",
        "NODE__SHARDS": str(shards),
        "NODE__STATE_DIR": ".",
        **_NOWHERE,
        **{f"TIMING__{name}": value for name, value in _TIMING.items()},
        **{f"LIMITS__{name}": value for name, value in _LIMITS.items()},
        **{f"SECURITY__{name}": value for name, value in _SECURITY.items()},
    }
    return {"APP_ENV": "testing", **{f"PENPAY_{name}": value for name, value in named.items()}}


@cache
def settings_of(shards: int) -> Settings:
    """Made once per process and number of shards."""
    return load_settings(_environment(shards), dotenv=None)


def scaled(seconds: float) -> float:
    """A customer's seconds as those of the simulated world."""
    return seconds / SPEED
