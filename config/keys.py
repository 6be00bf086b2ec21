"""Secret keys: how they are written, which are too well known, and where a development machine keeps its own."""

import base64
import binascii
import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretBytes

KEY_BYTES = 32
_WELL_KNOWN = frozenset(
    {
        "changeme",
        "change-me",
        "default",
        "example",
        "insecure",
        "password",
        "penpay",
        "sandbox",
        "secret",
        "test",
        # Safaricom prints these on its public sandbox page: the passkey of 174379 and initiator passwords.
        "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919",
        "safaricom999!*!",
        "safaricom123!!",
    }
)


@dataclass(frozen=True, slots=True)
class VersionedKey:
    """A key with the number that is stored beside what it sealed. `version` is 1 to 255."""

    version: int
    key: SecretBytes


def decode_key(text: str) -> SecretBytes:
    """32 bytes from base64, either alphabet, with or without padding."""
    try:
        raw = base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be 32 bytes in base64") from None
    if len(raw) != KEY_BYTES:
        raise ValueError("must be 32 bytes in base64")
    return SecretBytes(raw)


def decode_keyring(text: str) -> tuple[VersionedKey, ...]:
    """`2:<base64>,1:<base64>`: the first seals, all open. A single key without a number has version 1."""
    ring = []
    for part in text.split(","):
        number, colon, encoded = part.strip().rpartition(":")
        if colon and not (number.isascii() and number.isdigit() and 1 <= int(number) <= 255):
            raise ValueError("must be VERSION:KEY pairs, with versions 1 to 255")
        ring.append(VersionedKey(int(number) if colon else 1, decode_key(encoded)))
    if len({entry.version for entry in ring}) != len(ring):
        raise ValueError("names a version twice")
    return tuple(ring)


def new_key() -> str:
    """A fresh key in the form that the settings take."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def is_well_known(value: str | bytes) -> bool:
    """True for a secret that everybody has: a printed example, a word, one byte repeated."""
    if isinstance(value, bytes):
        return len(set(value)) < KEY_BYTES // 4
    lowered = value.strip().lower()
    return lowered in _WELL_KNOWN or lowered.startswith(("change-me", "changeme", "change_me")) or len(set(lowered)) < 3


def development_keys(folder: Path, names: tuple[str, ...]) -> Mapping[str, str]:
    """Keys of a development installation, drawn once and kept in `folder`, so that a restart can open what it sealed.

    Two processes that start together agree: the file appears complete or not at all, and the first one stays.
    """
    path = folder / "keys.json"
    stored = _stored(path)
    if stored.keys() >= set(names):
        return stored
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    drawn = {name: new_key() for name in names} | stored
    early = folder / f"keys.{secrets.token_hex(4)}"
    early.touch(mode=0o600)
    early.write_text(json.dumps(drawn))
    if stored:
        early.replace(path)
    else:
        with contextlib.suppress(FileExistsError):
            os.link(early, path)
        early.unlink()
    return _stored(path)


def _stored(path: Path) -> dict[str, str]:
    try:
        keys: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return keys
