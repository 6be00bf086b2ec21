"""Refuses a server that could lose a commit, and a login that could rewrite history. One line per finding."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from penpay.adapters.database import Database

_ON = frozenset({"ON", "1"})
_OFF = frozenset({"OFF", "0"})
MUST_BE: Mapping[str, tuple[frozenset[str], str]] = {
    "innodb_flush_log_at_trx_commit": (frozenset({"1"}), "a commit would live in memory only for up to a second"),
    "innodb_doublewrite": (_ON | {"DETECT_AND_RECOVER", "FAST"}, "a torn page could not be repaired"),
    "innodb_force_recovery": (frozenset({"0"}), "the server runs in recovery"),
    "read_only": (_OFF, "the server takes no writes"),
    "super_read_only": (_OFF, "the server takes no writes"),
}
"""Accepted values, and what happens otherwise. A server that lacks a setting (MySQL, MariaDB) passes it."""
ADVISED: Mapping[str, tuple[frozenset[str], str]] = {
    "innodb_rollback_on_timeout": (_ON, "a lock time-out leaves half of a transaction until it is rolled back"),
    "innodb_snapshot_isolation": (_ON, "a second line behind locks and versions is missing"),
}
"""Off in many servers. Nothing here rests on them alone: every error rolls back, every write checks its version."""
BINLOG = "sync_binlog"
PACKET_MIN = 16 * 1024 * 1024
"""The largest batch of units is a tenth of it."""

PROTECTED: Mapping[str, Sequence[str]] = {
    "ledger": ("units", "postings", "ledger_entries", "transaction_events", "provider_references"),
    "audit": ("audit_log",),
}
FORBIDDEN = frozenset({"ALL PRIVILEGES", "UPDATE", "DELETE", "DROP", "ALTER", "TRIGGER", "DELETE HISTORY"})
_GRANT = re.compile(
    r"GRANT (?P<rights>.+?) ON (?:TABLE )?(?P<schema>`(?:[^`]|``)+`|\*)\.(?P<table>`(?:[^`]|``)+`|\*) TO "
)
_COLUMNS = re.compile(r"\s*\([^)]*\)")


async def server_problems(database: Database) -> Sequence[str]:
    """Settings with which the server may lose or tear a commit, each as one line that names it."""
    values = await _values(database, (*MUST_BE, BINLOG, "log_bin", "max_allowed_packet"))
    found = _differing(values, MUST_BE)
    if values.get("log_bin") in _ON and values.get(BINLOG) != "1":
        found.append(f"database setting {BINLOG} is {values.get(BINLOG)}: the binary log could lack a commit")
    packet = int(values.get("max_allowed_packet", PACKET_MIN))
    if packet < PACKET_MIN:
        found.append(f"database setting max_allowed_packet is {packet}: batches need {PACKET_MIN}")
    return found


async def server_advice(database: Database) -> Sequence[str]:
    """Settings that would be better otherwise, each as one line."""
    return _differing(await _values(database, ADVISED), ADVISED)


async def _values(database: Database, names: Iterable[str]) -> Mapping[str, str]:
    listed = ", ".join(f"'{name}'" for name in names)
    rows = await database.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    return {name.lower(): value.upper() for name, value in rows}


def _differing(values: Mapping[str, str], expected: Mapping[str, tuple[frozenset[str], str]]) -> list[str]:
    return [
        f"database setting {name} is {values[name]}: {reason}"
        for name, (accepted, reason) in expected.items()
        if name in values and values[name] not in accepted
    ]


async def login_problems(database: Database) -> Sequence[str]:
    """What the runtime login may do to the journal, the history or the audit log, each as one line."""
    grants = [grant for (grant,) in await database.rows("SHOW GRANTS FOR CURRENT_USER")]
    return sorted(set(_excesses(grants, database.prefix)))


def _excesses(grants: Sequence[str], prefix: str) -> Iterator[str]:
    for grant in grants:
        match = _GRANT.match(grant)
        if match is None:
            continue
        # Rights on single columns name no whole table.
        rights = {right.strip().upper() for right in _COLUMNS.sub("()", match["rights"]).split(",")}
        too_much = sorted(rights & FORBIDDEN)
        if not too_much:
            continue
        schema, table = match["schema"].strip("`").replace("\\_", "_"), match["table"].strip("`")
        for owner, tables in PROTECTED.items():
            if schema not in {"*", f"{prefix}{owner}"}:
                continue
            for name in tables:
                if table in {"*", name}:
                    yield f"the runtime login has {', '.join(too_much)} on {prefix}{owner}.{name}"
