"""The checks of `penpay check` and `penpay audit verify`, from settings alone: they run without a node."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from config.sections import DatabaseSettings, Settings
from penpay import audit
from penpay.adapters.anchor_files import AnchorFiles
from penpay.adapters.database import Database
from penpay.invariants import questions


def _database(settings: Settings) -> Database:
    return Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)


async def invariants_of(settings: Settings) -> Mapping[str, Sequence[tuple[object, ...]]]:
    """Every invariant with the rows that break it. Raises `Unavailable`."""
    database = _database(settings)
    try:
        return await questions.check(database)
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
