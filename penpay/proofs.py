"""The checks of `penpay check` and `penpay audit verify`, from settings alone: they run without a node."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from config.sections import DatabaseSettings, Settings
from penpay import audit
from penpay.adapters.anchor_files import AnchorFiles
from penpay.adapters.database import PROOFS, Database
from penpay.domain.errors import StoreError
from penpay.invariants import questions
from penpay.invariants.questions import Rows

PATIENCE_S = 600.0
"""A person who waits for an answer gives the database five times as long for it as a node that asks by itself."""


async def invariants_of(settings: Settings, *, say: Callable[[str], None]) -> Mapping[str, Rows | StoreError]:
    """Every invariant with the rows that break it, or why nobody knows. Raises `Unavailable`."""
    within = {PROOFS: PATIENCE_S}
    database = Database(
        settings.database.url.get_secret_value(), prefix=settings.database.prefix, patience_s=within, wait_s=within
    )
    try:
        return await questions.check(database, say=say)
    finally:
        database.close()


async def verdicts_of(settings: Settings) -> Sequence[audit.Verdict]:
    """What became of each chain, by this installation's own key. Raises `Unavailable`."""
    seed = settings.security.audit_signing_key.get_secret_value()
    return await _verdicts(settings.database, AnchorFiles(settings.anchor_dir, seed=seed))


async def verdicts_by(public_key: str, database: DatabaseSettings, anchor_dir: Path) -> Sequence[audit.Verdict]:
    """The same for an auditor: a login that reads, the folder of anchors, the public key. Raises `Unavailable`."""
    return await _verdicts(database, AnchorFiles(anchor_dir, public_key=public_key))


async def _verdicts(settings: DatabaseSettings, book: AnchorFiles) -> Sequence[audit.Verdict]:
    database = Database(settings.url.get_secret_value(), prefix=settings.prefix)
    try:
        verdicts = await audit.verify(database, book)
        return [*verdicts, *audit.unanchored(verdicts)]
    finally:
        database.close()
