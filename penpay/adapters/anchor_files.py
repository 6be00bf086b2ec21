"""Anchors and witness as files: JSON lines signed with Ed25519, in a folder per installation."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from penpay.ports_audit import Anchor, Witness

ANCHORS = "anchors.jsonl"
WITNESS = "witness.json"
PUBLIC_KEY = "public_key.hex"


def public_key_hex(seed: bytes) -> str:
    """The public half of the signing key: all that a verification needs."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


class AnchorFiles:
    """`penpay.ports_audit.AnchorBook` on a folder. `seed` signs; without one it can only be read, by `public_key`."""

    def __init__(self, folder: Path, *, seed: bytes = b"", public_key: str = "") -> None:
        self._folder = folder
        self._private = Ed25519PrivateKey.from_private_bytes(seed) if seed else None
        self.public_key = public_key_hex(seed) if seed else public_key
        self._public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))

    async def anchors(self, installation_id: str) -> Sequence[Anchor]:
        return await asyncio.to_thread(self._read, self._folder / installation_id / ANCHORS)

    async def append(self, anchors: Sequence[Anchor]) -> None:
        await asyncio.to_thread(self._append, anchors)

    async def witness(self, installation_id: str) -> Witness:
        return await asyncio.to_thread(_read_witness, self._folder / installation_id / WITNESS)

    async def bear_witness(self, installation_id: str, witness: Witness) -> None:
        """Not flushed to the disk each second: after a power cut an older witness only proves less."""
        body = {"server": witness.server, "units": {str(shard): seq for shard, seq in witness.unit_seqs.items()}}
        path = self._folder / installation_id / WITNESS
        await asyncio.to_thread(_replace, path, json.dumps(body, sort_keys=True))

    def _append(self, anchors: Sequence[Anchor]) -> None:
        assert self._private is not None, "reading needs no private key, writing does"
        for installation_id in sorted({anchor.installation_id for anchor in anchors}):
            folder = self._folder / installation_id
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / PUBLIC_KEY).exists():
                _replace(folder / PUBLIC_KEY, self.public_key + "\n")
            lines = [self._line(anchor) for anchor in anchors if anchor.installation_id == installation_id]
            descriptor = os.open(folder / ANCHORS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                # One write, so that lines of two nodes never mix.
                os.write(descriptor, "".join(lines).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _line(self, anchor: Anchor) -> str:
        assert self._private is not None
        body: dict[str, Any] = {
            "at": anchor.at.isoformat(),
            "chain": anchor.chain,
            "hash": anchor.hash.hex(),
            "installation": anchor.installation_id,
            "seq": anchor.seq,
        }
        if anchor.recovery:
            body["recovery"] = True
        return json.dumps(body | {"signature": self._private.sign(_signed(body)).hex()}) + "\n"

    def _read(self, path: Path) -> Sequence[Anchor]:
        if not path.exists():
            return []
        # A power cut may leave a torn last line; the anchors before it are whole.
        lines = path.read_text().rpartition("\n")[0].splitlines()
        return [self._anchor(line, number, path) for number, line in enumerate(lines, 1) if line]

    def _anchor(self, line: str, number: int, path: Path) -> Anchor:
        try:
            body = json.loads(line)
            signature = bytes.fromhex(body.pop("signature"))
            self._public.verify(signature, _signed(body))
            return Anchor(
                installation_id=body["installation"],
                chain=body["chain"],
                seq=body["seq"],
                hash=bytes.fromhex(body["hash"]),
                at=datetime.fromisoformat(body["at"]),
                recovery=body.get("recovery", False),
            )
        except (InvalidSignature, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name} line {number} is not an anchor of ours") from error


def _signed(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _read_witness(path: Path) -> Witness:
    if not path.exists():
        return Witness()
    try:
        body = json.loads(path.read_text())
        return Witness(body["server"], {int(shard): int(seq) for shard, seq in body["units"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is not readable") from error


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(text)
    fresh.replace(path)
