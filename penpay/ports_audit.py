"""What keeps the chains honest from outside the database: signed anchors, and a witness of the newest commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from penpay.domain.unit import AuditRecord

POSTINGS = "postings"
AUDIT = "audit"
SYS = "audit/sys"
"""Chain of what staff and sign-ins do; every other chain is `postings/<shard>` or `audit/<shard>`."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest row of a chain."""

    chain: str
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the database says of itself: whose it is, where it runs, and how far everything is."""

    installation_id: str
    server: str
    heads: Sequence[ChainHead]
    unit_seqs: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Witness:
    """How far each shard was when somebody last looked, and on which server."""

    server: str = ""
    unit_seqs: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that left the database, signed."""

    installation_id: str
    chain: str
    seq: int
    hash: bytes
    at: datetime
    recovery: bool = False
    """The chain had gone back, was compared with the providers and goes on from here: higher anchors before this one
    name rows that are gone for good."""


def standing(anchors: Sequence[Anchor]) -> Sequence[Anchor]:
    """The anchors, oldest first, without those that a later recovery has overtaken."""
    kept: list[Anchor] = []
    for anchor in anchors:
        if anchor.recovery:
            kept = [one for one in kept if one.chain != anchor.chain or one.seq <= anchor.seq]
        kept.append(anchor)
    return kept


class HeadsStore(Protocol):
    """Reads the heads of all chains in one look."""

    async def look(self) -> Sighting:
        """Raises `Unavailable`."""
        ...


class AnchorBook(Protocol):
    """Anchors and witness of one installation, kept outside the database."""

    async def anchors(self, installation_id: str) -> Sequence[Anchor]:
        """All of them, oldest first. Raises `ValueError` naming the first line whose signature is wrong."""
        ...

    async def append(self, anchors: Sequence[Anchor]) -> None:
        """Sign and keep these; durable when it returns."""
        ...

    async def witness(self, installation_id: str) -> Witness:
        """The last one, empty when there is none."""
        ...

    async def bear_witness(self, installation_id: str, witness: Witness) -> None:
        """Replace the last one."""
        ...


class SysAudit(Protocol):
    """The audit chain of the installation itself: sign-ins, staff, configuration."""

    async def append(self, records: Sequence[AuditRecord], *, at: datetime) -> None:
        """Chain and store these under the lock of the chain's head. Raises `Unavailable`."""
        ...
