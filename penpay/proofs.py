"""The checks of `penpay check` and `penpay audit verify`, from settings alone: they run without a node."""

from collections.abc import Mapping, Sequence

from config.sections import Settings
from penpay import audit, invariants
from penpay.adapters.anchor_files import AnchorFiles
from penpay.adapters.database import Database


def _database(settings: Settings) -> Database:
    return Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)


async def invariants_of(settings: Settings) -> Mapping[str, Sequence[tuple[object, ...]]]:
    """Every invariant with the rows that break it. Raises `Unavailable`."""
    database = _database(settings)
    try:
        return await invariants.check(database)
    finally:
        database.close()


async def verdicts_of(settings: Settings, public_key: str) -> Sequence[audit.Verdict]:
    """What became of each chain. Needs no secret when the public key is given. Raises `Unavailable`."""
    seed = b"" if public_key else settings.security.audit_signing_key.get_secret_value()
    book = AnchorFiles(settings.anchor_dir, seed=seed, public_key=public_key)
    database = _database(settings)
    try:
        return await audit.verify(database, book)
    finally:
        database.close()
