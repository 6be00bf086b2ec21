"""The settings of an installation, from environment variables alone.

`load_settings` is all or nothing: an unknown name, a missing one, a bad value or a secret that everybody knows raises
`SettingsError` with one line. Commands that need a part only use `load_section`.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretBytes, SecretStr, ValidationError

from config.environment import ENVIRONMENT, RELAXED, SettingsError, nested, variable, with_dotenv
from config.keys import VersionedKey, development_keys, is_well_known
from config.sections import NEAR_NETWORKS, SAFARICOM_ADDRESSES, SECTIONS, SecuritySettings, Settings
from config.tuning import Section

__all__ = ["Settings", "SettingsError", "load_section", "load_settings"]

_DRAWN_KEYS = tuple(name for name in SecuritySettings.model_fields if name != "ops_token")
_ADDRESS_FACTOR = "1000"
"""On a developer's machine everybody comes from one address."""
_SECURE_URLS = (
    ("http", "public_url"),
    ("deriv", "ws_url"),
    ("deriv", "oauth_url"),
    ("daraja", "base_url"),
    ("fx", "url"),
    ("fx", "second_url"),
    ("sms", "url"),
)
AnySection = TypeVar("AnySection", bound=Section)


def load_settings(environ: Mapping[str, str], *, dotenv: Path | None = Path(".env")) -> Settings:
    """Everything, checked. In development and testing, missing keys are drawn and kept below the state directory."""
    environ = with_dotenv(environ, dotenv)
    values: dict[str, Any] = dict(nested(environ, SECTIONS))
    if ENVIRONMENT not in environ:
        raise SettingsError(f"{ENVIRONMENT} is missing; it is development, testing, staging or production")
    values["app_env"] = environ[ENVIRONMENT]
    values["node"].setdefault("state_dir", str(_state_dir(environ)))
    _complete(values)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_line(error)) from None
    for problem in _problems(settings):
        raise SettingsError(problem)
    return settings.model_copy(update={"timing": settings.timing.sped_up()})


def load_section(
    environ: Mapping[str, str], model: type[AnySection], *, dotenv: Path | None = Path(".env")
) -> AnySection:
    """One section or a part of one, for a command that needs no more; unknown names are refused all the same."""
    name = next(name for name, section in SECTIONS.items() if issubclass(section, model))
    values = nested(with_dotenv(environ, dotenv), SECTIONS, part={name: model})[name]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_line(error, name)) from None


def _complete(values: dict[str, Any]) -> None:
    """Defaults that depend on the environment or on other settings."""
    relaxed = values["app_env"] in RELAXED
    values["daraja"].setdefault("allowlist_mode", "observe" if relaxed else "enforce")
    values["daraja"].setdefault(
        "callback_allowlist", ",".join((*SAFARICOM_ADDRESSES, *(NEAR_NETWORKS if relaxed else ())))
    )
    if not relaxed:
        return
    values["limits"].setdefault("address_factor", _ADDRESS_FACTOR)
    missing = [name for name in _DRAWN_KEYS if name not in values["security"]]
    if missing and "url" in values["database"]:
        keys = _keys_of(values)
        values["security"].update({name: keys[name] for name in missing})


def _state_dir(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local" / "state")
    return Path(home) / "penpay"


def _keys_of(values: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The drawn keys of this installation: they belong to the database whose fields they seal."""
    if not values["node"]["state_dir"]:
        raise SettingsError(f"{variable('node', 'state_dir')}: is empty")
    folder = Path(values["node"]["state_dir"])
    database = values["database"]
    place = f"{database['url'].rpartition('@')[2]}|{database.get('prefix', '')}"
    try:
        return development_keys(folder / hashlib.sha256(place.encode()).hexdigest()[:16], _DRAWN_KEYS)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"{variable('node', 'state_dir')}: cannot keep keys in {folder}: {reason}") from None


def _problems(settings: Settings) -> Iterator[str]:
    """What the types cannot say, one line each."""
    if not settings.http.internal_bind.is_loopback and not settings.security.ops_token.get_secret_value():
        yield f"{variable('security', 'ops_token')} is missing: the internal listener is not on loopback"
    if settings.is_relaxed:
        return
    if not settings.security.ops_token.get_secret_value():
        yield f"{variable('security', 'ops_token')} is missing"
    if settings.fx.second_url is None:
        yield f"{variable('fx', 'second_url')} is missing"
    if settings.timing.speed != 1:
        yield f"{variable('timing', 'speed')} must be 1 outside development and testing"
    for name in ("daraja_stk_per_s", "daraja_b2c_per_s", "daraja_other_per_s", "deriv_calls_per_minute"):
        if not getattr(settings.limits, name):
            yield f"{variable('limits', name)} must not be 0 outside development and testing"
    for name, value in _secrets(settings):
        if is_well_known(value):
            yield f"{name} is a default secret; set your own"
    if settings.app_env == "production":
        yield from _insecure(settings)


def _insecure(settings: Settings) -> Iterator[str]:
    for section, field in _SECURE_URLS:
        url = getattr(getattr(settings, section), field)
        if not url.startswith(("https://", "wss://")):
            yield f"{variable(section, field)} must be https or wss in production"


def _secrets(settings: Settings) -> Iterator[tuple[str, str | bytes]]:
    for section in SECTIONS:
        group = getattr(settings, section)
        for field in type(group).model_fields:
            name = variable(section, field)
            match getattr(group, field):
                case SecretStr() as text if text.get_secret_value() and not field.endswith("url"):
                    yield name, text.get_secret_value()
                case SecretBytes() as key:
                    yield name, key.get_secret_value()
                case (VersionedKey(), *_) as ring:
                    yield from ((name, entry.key.get_secret_value()) for entry in ring)


def _line(error: ValidationError, section: str = "") -> str:
    """One line for the first fault, naming its variable. Values stay out of it: they may be secrets."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    # What is missing depends on the environment: a wrong name of it is the fault to mend.
    first = min(faults, key=lambda fault: (fault["loc"] != ("app_env",), fault["type"] != "missing"))
    path = [*([section] if section else []), *(str(part) for part in first["loc"])]
    name = (
        ENVIRONMENT if path == ["app_env"] else variable(path[0], path[1]) if len(path) > 1 else variable(path[0], "…")
    )
    text = "is missing" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{name}: {text}{more}" if text != "is missing" else f"{name} is missing{more}"
