import base64
import json
import os
import re
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from config.keys import decode_keyring, development_keys, is_well_known
from config.sections import SECTIONS, Bind, DatabaseSettings, InternalListener, OperatorAccess
from config.settings import Settings, SettingsError, load_section, load_settings
from config.tuning import SAGA_TIMES, LimitSettings, TimingSettings, minor
from penpay.app.rules import rules_of
from penpay.domain.rules import Rules

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(200, 232))).decode().rstrip("=")
MANDATORY = {
    "PENPAY_HTTP__PUBLIC_URL": "https://pay.example.com",
    "PENPAY_DATABASE__URL": "mysql://app:db-word@db/?unix_socket=/run/db.sock",
    "PENPAY_REDIS__URL": "unix:///run/redis.sock",
    "PENPAY_DERIV__WS_URL": "wss://ws.example.com/websockets/v3",
    "PENPAY_DERIV__APP_ID": "1089",
    "PENPAY_DERIV__AGENT_TOKEN": "agent-word-91",
    "PENPAY_DERIV__AGENT_LOGINID": "CR90000001",
    "PENPAY_DERIV__OAUTH_URL": "https://oauth.example.com/oauth2/authorize",
    "PENPAY_DARAJA__BASE_URL": "https://api.example.com",
    "PENPAY_DARAJA__CONSUMER_KEY": "consumer-word-92",
    "PENPAY_DARAJA__CONSUMER_SECRET": "consumer-word-93",
    "PENPAY_DARAJA__SHORTCODE": "600999",
    "PENPAY_DARAJA__PASSKEY": "pass-word-94",
    "PENPAY_DARAJA__INITIATOR_NAME": "payouts",
    "PENPAY_DARAJA__INITIATOR_PASSWORD": "initiator-word-95",
    "PENPAY_DARAJA__CERTIFICATE": "/etc/penpay/daraja.pem",
    "PENPAY_FX__URL": "https://fx.example.com/one",
    "PENPAY_SMS__URL": "https://sms.example.com/version1/messaging",
    "PENPAY_SMS__USERNAME": "penpay",
    "PENPAY_SMS__API_KEY": "sms-word-96",
}
PRODUCTION_ONLY = {
    "PENPAY_FX__SECOND_URL": "https://fx.example.com/two",
    **{
        f"PENPAY_SECURITY__{name}": KEY
        for name in ("JWT_KEY", "FIELD_KEYS", "BLIND_INDEX_KEY", "CALLBACK_KEY", "PASSWORD_PEPPER", "AUDIT_SIGNING_KEY")
    },
    "PENPAY_SECURITY__OPS_TOKEN": "ops-word-97",
}
PRODUCTION = {"APP_ENV": "production", **MANDATORY, **PRODUCTION_ONLY}


@pytest.fixture
def development(tmp_path: Path) -> dict[str, str]:
    return {"APP_ENV": "development", "HOME": str(tmp_path), **MANDATORY}


def test_a_wrong_environment_is_named_before_what_it_would_want():
    said = refusal({**MANDATORY, "APP_ENV": "prod"})
    assert said.startswith("APP_ENV: Input should be 'development', 'testing', 'staging' or 'production'")


def load(environ: dict[str, str]) -> Settings:
    return load_settings(environ, dotenv=None)


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_production_starts_with_exactly_what_is_mandatory():
    settings = load(PRODUCTION)
    assert settings.daraja.allowlist_mode == "enforce"
    assert settings.limits.address_factor == 1
    assert settings.http.public_bind == Bind("127.0.0.1", 8080)
    assert settings.security.jwt_key[0].key.get_secret_value() == bytes(range(32))
    assert not any(network.is_loopback for network in settings.daraja.callback_allowlist)


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_each_missing_mandatory_variable_is_named_in_one_line(name):
    environ = {key: value for key, value in PRODUCTION.items() if key != name}
    assert refusal(environ).startswith(f"{name} is missing")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PENPAY_HTTP__PUBLIC_BIDN", "; did you mean PENPAY_HTTP__PUBLIC_BIND?"),
        ("PENPAY_http__public_bind", "; did you mean PENPAY_HTTP__PUBLIC_BIND?"),
        ("PENPAY_XYZZY", ""),
        ("PENPAY_LIMITS__DEPOSIT_MAX_USD__X", "; did you mean PENPAY_LIMITS__DEPOSIT_MAX_USD?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name, hint):
    assert refusal({**PRODUCTION, name: "1"}) == f"{name} is not a setting of PenPay{hint}"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("APP_ENV", "prod", "Input should be 'development', 'testing', 'staging' or 'production'"),
        ("PENPAY_HTTP__PUBLIC_BIND", "8080", "must be HOST:PORT"),
        ("PENPAY_HTTP__PUBLIC_BIND", "::1", "must be HOST:PORT"),
        ("PENPAY_HTTP__PUBLIC_BIND", "h:70000", "must be HOST:PORT"),
        ("PENPAY_HTTP__TRUSTED_PROXIES", "10.0.0.1/8", "must be networks like 10.0.0.0/8, separated by commas"),
        ("PENPAY_DATABASE__URL", "postgres://x", "must be a URL that begins with mysql://"),
        ("PENPAY_DATABASE__URL", "mysql://a:b@h:99999/", "is a URL whose host or port cannot be read"),
        ("PENPAY_REDIS__URL", "redis://h:x", "is a URL whose host or port cannot be read"),
        ("PENPAY_FX__URL", "https://[::1/", "is a URL whose host or port cannot be read"),
        ("PENPAY_DATABASE__PREFIX", "Bad-", "String should match pattern '^[a-z][a-z0-9_]{0,39}_$'"),
        ("PENPAY_DERIV__WS_URL", "https://x", "must be a URL that begins with ws:// or wss://"),
        ("PENPAY_DARAJA__PASSKEY", "", "is empty"),
        ("PENPAY_DARAJA__SHORTCODE", "12", "String should match pattern '^\\d{5,7}$'"),
        ("PENPAY_SECURITY__JWT_KEY", "c2hvcnQ=", "must be 32 bytes in base64"),
        ("PENPAY_SECURITY__FIELD_KEYS", f"0:{KEY}", "must be VERSION:KEY pairs, with versions 1 to 255"),
        ("PENPAY_SECURITY__FIELD_KEYS", f"1:{KEY},1:{KEY}", "names a version twice"),
        ("PENPAY_SECURITY__OPS_TOKEN", "two words", "must be visible ASCII characters without spaces"),
        ("PENPAY_LIMITS__DEPOSIT_MAX_USD", "NaN", "Input should be a finite number"),
        ("PENPAY_LIMITS__DEPOSIT_MAX_USD", "10.001", "Decimal input should have no more than 2 decimal places"),
        ("PENPAY_LIMITS__STK_MAX_KES", "10.5", "Decimal input should have no more than 0 decimal places"),
        ("PENPAY_TIMING__STK_GRACE_S", "inf", "Input should be a finite number"),
        ("PENPAY_TIMING__STK_GRACE_S", "-1", "Input should be greater than 0"),
        (
            "PENPAY_TIMING__STK_POLL_LADDER_S",
            "20,x",
            "Input should be a valid number, unable to parse string as a number",
        ),
        ("PENPAY_TIMING__SPEED", "30", "must be 1 outside development and testing"),
        ("PENPAY_LIMITS__DARAJA_STK_PER_S", "0", "must not be 0 outside development and testing"),
        ("PENPAY_DARAJA__BASE_URL", "http://api.example.com", "must be https or wss in production"),
        ("PENPAY_DERIV__WS_URL", "ws://ws.example.com", "must be https or wss in production"),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value, fault):
    line = refusal({**PRODUCTION, name: value})
    assert line in {f"{name}: {fault}", f"{name} {fault}"}


@pytest.mark.parametrize("section", ["LIMITS", "TIMING"])
def test_limits_and_times_that_contradict_each_other_are_refused(section):
    contradiction = {"LIMITS": ("DEPOSIT_MIN_USD", "1001"), "TIMING": ("LEASE_RENEW_S", "8")}[section]
    assert refusal({**PRODUCTION, f"PENPAY_{section}__{contradiction[0]}": contradiction[1]}).startswith(
        f"PENPAY_{section}__"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENPAY_DARAJA__PASSKEY", "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"),
        ("PENPAY_DARAJA__INITIATOR_PASSWORD", "Safaricom999!*!"),
        ("PENPAY_DERIV__AGENT_TOKEN", "change-me-please"),
        ("PENPAY_SECURITY__OPS_TOKEN", "secret"),
        ("PENPAY_SECURITY__BLIND_INDEX_KEY", base64.b64encode(bytes(32)).decode()),
        ("PENPAY_SECURITY__FIELD_KEYS", f"2:{KEY},1:{base64.b64encode(b'a' * 32).decode()}"),
    ],
)
def test_a_secret_that_everybody_has_stops_the_start_outside_development(name, value, development):
    for environment in ("production", "staging"):
        assert (
            refusal({**PRODUCTION, "APP_ENV": environment, name: value}) == f"{name} is a default secret; set your own"
        )
    assert load({**development, name: value}).app_env == "development"


def test_no_refusal_and_no_print_of_the_settings_shows_a_secret(development):
    secrets = [value for name, value in PRODUCTION.items() if "word" in value] + [KEY]
    for name in (
        "PENPAY_SECURITY__JWT_KEY",
        "PENPAY_SECURITY__FIELD_KEYS",
        "PENPAY_DATABASE__URL",
        "PENPAY_REDIS__URL",
    ):
        assert "db-word" not in refusal({**PRODUCTION, name: "db-word"})
    printed = repr(load(PRODUCTION)) + str(load(PRODUCTION).model_dump())
    assert not any(secret in printed for secret in [*secrets, "db-word"])


def test_development_draws_missing_keys_once_per_database(development):
    first = load(development)
    again = load(development)
    other = load({**development, "PENPAY_DATABASE__URL": "mysql://app:x@elsewhere/"})
    assert again.security == first.security
    assert other.security.jwt_key != first.security.jwt_key
    files = list(first.node.state_dir.rglob("keys.json"))
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_given_key_wins_over_a_drawn_one(development):
    settings = load({**development, "PENPAY_SECURITY__JWT_KEY": KEY})
    assert settings.security.jwt_key[0].key.get_secret_value() == bytes(range(32))


def test_nodes_that_start_together_draw_the_same_keys(tmp_path):
    drawn = []
    gate = threading.Barrier(8)

    def draw() -> None:
        gate.wait()
        drawn.append(dict(development_keys(tmp_path / "state", ("a", "b"))))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [drawn[0]] * 8
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["keys.json"]


def test_development_observes_foreign_callbacks_and_knows_near_ones(development):
    daraja = load(development).daraja
    assert daraja.allowlist_mode == "observe"
    assert any(network.is_loopback for network in daraja.callback_allowlist)
    assert load(development).limits.address_factor == 1000


def test_the_internal_listener_leaves_loopback_only_with_a_token(development):
    outside = {**development, "PENPAY_HTTP__INTERNAL_BIND": "0.0.0.0:8081"}
    assert refusal(outside).startswith("PENPAY_SECURITY__OPS_TOKEN is missing")
    assert load({**outside, "PENPAY_SECURITY__OPS_TOKEN": "t"}).http.internal_bind.port == 8081


def test_a_secret_may_stand_in_a_file(tmp_path):
    file = tmp_path / "passkey"
    file.write_text("from-a-file-98\n")
    environ = {name: value for name, value in PRODUCTION.items() if name != "PENPAY_DARAJA__PASSKEY"}
    settings = load({**environ, "PENPAY_DARAJA__PASSKEY_FILE": str(file)})
    assert settings.daraja.passkey.get_secret_value() == "from-a-file-98"
    both = refusal({**PRODUCTION, "PENPAY_DARAJA__PASSKEY_FILE": str(file)})
    assert both == "PENPAY_DARAJA__PASSKEY_FILE and PENPAY_DARAJA__PASSKEY are both set; set one of them"
    gone = refusal({**environ, "PENPAY_DARAJA__PASSKEY_FILE": str(tmp_path / "gone")})
    assert gone == "PENPAY_DARAJA__PASSKEY_FILE: cannot read the file: No such file or directory"


def test_a_dotenv_file_counts_in_development_only(tmp_path, development):
    dotenv = tmp_path / ".env"
    dotenv.write_text("APP_ENV=development\nPENPAY_FX__SPREAD_KES=4\nPENPAY_NODE__NAME=a\nOTHER=1\n")
    from_file = load_settings({**development, "PENPAY_NODE__NAME": "b"}, dotenv=dotenv)
    assert (from_file.fx.spread_e6, from_file.node.name) == (4_000_000, "b")
    assert load_settings(PRODUCTION, dotenv=dotenv).fx.spread_e6 == 5_000_000
    dotenv.write_text("APP_ENV=production\n")
    with pytest.raises(SettingsError, match=r"^APP_ENV in .*: a \.env file is for development and testing only$"):
        load_settings({}, dotenv=dotenv)


def test_a_mistake_in_a_dotenv_file_is_told_like_any_other(tmp_path, development):
    dotenv = tmp_path / ".env"
    dotenv.write_text("PENPAY_FX__SPRED_KES=4\n")
    with pytest.raises(SettingsError, match=r"did you mean PENPAY_FX__SPREAD_KES\?"):
        load_settings(development, dotenv=dotenv)


def test_a_command_loads_only_the_section_it_needs():
    environ = {"PENPAY_DATABASE__URL": MANDATORY["PENPAY_DATABASE__URL"]}
    assert load_section(environ, DatabaseSettings, dotenv=None).migration_url.get_secret_value().endswith("db.sock")
    with pytest.raises(SettingsError, match=r"^PENPAY_DATABASE__URL is missing$"):
        load_section({}, DatabaseSettings, dotenv=None)
    with pytest.raises(SettingsError, match=r"^PENPAY_X is not a setting"):
        load_section({**environ, "PENPAY_X": "1"}, DatabaseSettings, dotenv=None)


def test_a_command_reads_only_the_part_that_it_needs(tmp_path):
    closed = {"PENPAY_DARAJA__PASSKEY_FILE": str(tmp_path / "closed"), "PENPAY_SECURITY__JWT_KEY": "no key"}
    environ = {**closed, "PENPAY_HTTP__INTERNAL_BIND": "[::1]:9", "PENPAY_HTTP__PUBLIC_BIND": "8080"}
    assert load_section(environ, InternalListener, dotenv=None).internal_bind == Bind("::1", 9)
    token = tmp_path / "token"
    token.write_text("ops-word-97\n")
    access = load_section({**environ, "PENPAY_SECURITY__OPS_TOKEN_FILE": str(token)}, OperatorAccess, dotenv=None)
    assert access.ops_token.get_secret_value() == "ops-word-97"
    gone = {**environ, "PENPAY_SECURITY__OPS_TOKEN_FILE": str(tmp_path / "gone")}
    with pytest.raises(SettingsError, match=r"^PENPAY_SECURITY__OPS_TOKEN_FILE: cannot read the file"):
        load_section(gone, OperatorAccess, dotenv=None)
    with pytest.raises(SettingsError, match=r"^PENPAY_X is not a setting"):
        load_section({**environ, "PENPAY_X": "1"}, InternalListener, dotenv=None)


def test_speed_divides_the_times_of_sagas_and_nothing_else(development):
    plain = load(development).timing
    fast = load({**development, "PENPAY_TIMING__SPEED": "30"}).timing
    for name in TimingSettings.model_fields:
        before, after = getattr(plain, name), getattr(fast, name)
        if name in SAGA_TIMES:
            expected = tuple(step / 30 for step in before) if isinstance(before, tuple) else before / 30
            assert after == expected
        elif name != "speed":
            assert after == before
    assert {"shard_lease_s", "deriv_ping_s", "access_token_s"}.isdisjoint(SAGA_TIMES)


@pytest.mark.parametrize("speed", ["1", "30", "1000"])
def test_a_call_begins_well_within_the_windows_that_count_from_its_row(development, speed):
    timing = load({**development, "PENPAY_TIMING__SPEED": speed}).timing
    windows = (timing.deriv_settle_s, timing.b2c_status_after_s)
    assert 0 < timing.first_byte_s <= min(5.0, *(window / 2 for window in windows))


def test_an_unknown_outcome_is_with_a_person_before_the_invariant_tells(development):
    assert TimingSettings().unknown_until_s < 4 * 3600
    line = refusal({**PRODUCTION, "PENPAY_TIMING__UNKNOWN_UNTIL_S": "600"})
    assert "UNKNOWN_UNTIL_S leaves no time to prove an absence" in line


def test_the_defaults_are_the_published_ones():
    limits, timing = LimitSettings(), TimingSettings()
    assert (limits.deposit_min_usd, limits.deposit_max_usd, limits.deposit_day_usd) == (2, 1000, 2000)
    assert (limits.withdrawal_min_usd, limits.withdrawal_max_usd, limits.withdrawal_day_usd) == (5, 1000, 2000)
    assert (limits.stk_min_kes, limits.stk_max_kes, limits.b2c_min_kes, limits.b2c_max_kes) == (1, 250_000, 10, 250_000)
    assert (limits.stk_min_interval_s, limits.quote_ttl_s, limits.fx_max_age_s) == (60, 900, 60)
    assert (timing.shard_lease_s, timing.lease_renew_s, timing.stk_grace_s, timing.deriv_settle_s) == (15, 5, 180, 600)
    assert timing.stk_poll_ladder_s == (20, 30, 60, 90, 120, 180)
    assert minor(Decimal("1000.5")) == 100_050


def test_no_rung_of_a_ladder_is_for_show(development):
    """Whoever sets a time of the sagas changes what they do: one that does nothing looks like a pace that it is not."""
    plain = rules_of(load(development))
    ladders = {name: value for name, value in TimingSettings() if isinstance(value, tuple)}
    rungs = [(name, n) for name, ladder in ladders.items() for n in range(len(ladder))]
    for name, n in rungs:
        moved = ",".join(str(wait + (0.5 if n == m else 0)) for m, wait in enumerate(ladders[name]))
        assert rules_of(load({**development, f"PENPAY_TIMING__{name.upper()}": moved})) != plain, (name, n)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("DERIV_HELD_RETRY_S", "held_retry_s"),
        ("DERIV_READ_EVERY_S", "resolve_s"),
        ("REFUND_POLL_S", "refund_probe_s"),
    ],
)
def test_what_waits_or_is_unknown_is_tried_again_at_the_pace_that_is_set(development, name, rule):
    assert getattr(rules_of(load({**development, f"PENPAY_TIMING__{name}": "47"})), rule) == 47
    assert getattr(rules_of(load(development)), rule) == getattr(Rules(), rule)


def test_a_listener_may_have_an_address_of_either_family():
    assert load({**PRODUCTION, "PENPAY_HTTP__PUBLIC_BIND": "[::1]:0"}).http.public_bind == Bind("::1", 0)
    assert load({**PRODUCTION, "PENPAY_HTTP__PUBLIC_BIND": "0.0.0.0:80"}).http.public_bind == Bind("0.0.0.0", 80)


def test_a_keyring_seals_with_its_first_key():
    ring = decode_keyring(f"2:{OTHER_KEY},1:{KEY}")
    assert [entry.version for entry in ring] == [2, 1]
    assert ring[0].key.get_secret_value() == bytes(range(200, 232))


def test_random_keys_are_not_taken_for_known_ones():
    assert not any(is_well_known(os.urandom(32)) for _ in range(1000))


def test_the_example_lists_every_variable_and_only_those():
    text = (Path(__file__).parents[2] / "config" / "penpay.env.example").read_text()
    listed = re.findall(r"^(?:# )?((?:PENPAY_|APP_ENV)[A-Z0-9_]*)=(.*)$", text, re.MULTILINE)
    names = [name for name, _ in listed]
    known = {
        f"PENPAY_{section}__{info.alias or field}".upper()
        for section, model in SECTIONS.items()
        for field, info in model.model_fields.items()
    }
    assert len(names) == len(set(names))
    assert set(names) == known | {"APP_ENV"}
    mandatory = re.findall(r"^([A-Z_0-9]+)=$", text, re.MULTILINE)
    assert set(mandatory) == {"APP_ENV", *MANDATORY}
    defaults = {name: value for name, value in listed if value and not value.startswith("<") and "~" not in value}
    assert load({**PRODUCTION, **defaults}).limits == LimitSettings()
    assert load({**PRODUCTION, **defaults}).timing == TimingSettings()


def test_settings_round_trip_as_json_without_secrets():
    dumped = json.loads(load(PRODUCTION).model_dump_json(by_alias=True))
    assert dumped["daraja"]["passkey"] == "**********"
