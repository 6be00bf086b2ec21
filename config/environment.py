"""From environment variables to a nested mapping: names checked, secrets read from files, `.env` where allowed."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import BaseModel

PREFIX = "PENPAY_"
ENVIRONMENT = "APP_ENV"
RELAXED = frozenset({"development", "testing"})
"""Where a `.env` is read, missing keys are drawn, and plain transport is accepted."""
_FROM_FILE = "_FILE"


class SettingsError(Exception):
    """The configuration cannot be used. The text is one line that names the variable and never holds a secret."""


def variable(section: str, field: str) -> str:
    """The environment's name of a setting."""
    return f"{PREFIX}{section}__{field}".upper()


def with_dotenv(environ: Mapping[str, str], dotenv: Path | None) -> dict[str, str]:
    """The environment completed from a `.env` file, in development and testing only. The environment wins."""
    if dotenv is None or environ.get(ENVIRONMENT, "development") not in RELAXED or not dotenv.is_file():
        return dict(environ)
    wanted = {
        name: value
        for name, value in dotenv_values(dotenv, interpolate=False).items()
        if value is not None and (name == ENVIRONMENT or _is_ours(name))
    }
    if wanted.get(ENVIRONMENT, "development") not in RELAXED:
        raise SettingsError(f"{ENVIRONMENT} in {dotenv}: a .env file is for development and testing only")
    return {**wanted, **environ}


def nested(
    environ: Mapping[str, str],
    sections: Mapping[str, type[BaseModel]],
    *,
    part: Mapping[str, type[BaseModel]] | None = None,
) -> dict[str, dict[str, str]]:
    """`PENPAY_HTTP__PUBLIC_BIND=x` becomes `{"http": {"public_bind": "x"}}`; an unknown name is refused.

    With a `part` only its fields are read: whoever needs no more may lack the right to the other secrets' files.
    """
    known = _names(sections)
    wanted = known if part is None else _names(part)
    values: dict[str, dict[str, str]] = {section: {} for section in sections}
    for name in sorted(filter(_is_ours, environ)):
        target = name
        if name not in known and name.removesuffix(_FROM_FILE) in known:
            target = name.removesuffix(_FROM_FILE)
            if target in environ:
                raise SettingsError(f"{name} and {target} are both set; set one of them")
        if target not in known:
            raise SettingsError(_unknown(name, known))
        if target in wanted:
            section, field = known[target]
            values[section][field] = environ[name] if target == name else _content(name, environ[name])
    return values


def _names(sections: Mapping[str, type[BaseModel]]) -> dict[str, tuple[str, str]]:
    return {
        variable(section, info.alias or field): (section, info.alias or field)
        for section, model in sections.items()
        for field, info in model.model_fields.items()
    }


def _is_ours(name: str) -> bool:
    # A variable in the wrong case is a mistake to be told, not a setting of somebody else.
    return name.upper().startswith(PREFIX)


def _content(name: str, path: str) -> str:
    if not path:
        raise SettingsError(f"{name}: is empty")
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "not text"
        raise SettingsError(f"{name}: cannot read the file: {reason}") from None


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
    return f"{name} is not a setting of PenPay" + (f"; did you mean {near[0]}?" if near else "")
