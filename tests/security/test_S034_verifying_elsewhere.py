"""S34: an auditor verifies with the public key alone: no secret, a login that only reads, no node."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from penpay.adapters.anchor_files import public_key_hex
from tests.security.books import Books


@pytest.fixture(scope="module")
def elsewhere(books: Books, tmp_path_factory) -> Iterator[Mapping[str, str]]:
    """Nothing but where the database and the anchors are; the anchors are a copy."""
    copied: Path = tmp_path_factory.mktemp("anchors")
    for file in books.anchors.rglob("*"):
        if file.is_file():
            target = copied / file.relative_to(books.anchors)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    books.rows("CREATE USER auditor@localhost IDENTIFIED BY 'looks-only'")
    for schema in ("penpay_ledger", "penpay_audit"):
        books.rows(f"GRANT SELECT ON {schema}.* TO auditor@localhost")
    socket = books.installation.mariadb.url("runtime").partition("?")[2]
    yield {
        "PATH": "/usr/bin:/bin",
        "HOME": str(copied),
        "PENPAY_DATABASE__URL": f"mysql://auditor:looks-only@localhost/?{socket}",
        "PENPAY_AUDIT__ANCHOR_DIR": str(copied),
    }
    books.rows("DROP USER auditor@localhost")


@pytest.fixture(scope="module")
def public_key(books: Books) -> str:
    """Handed over by the installation; it is no secret."""
    printed = books.penpay("audit", "key")
    assert printed.status == 0, printed.said
    return printed.said.strip()


def test_it_verifies_and_finds_what_was_changed(books: Books, elsewhere, public_key: str):
    assert not any("SECURITY" in name for name in elsewhere)
    ran = books.penpay("audit", "verify", "--public-key", public_key, environment=elsewhere)
    assert (ran.status, "chains are whole" in ran.said) == (0, True), ran.said
    assert re.search(r"rows, [1-9]\d* anchors, whole", ran.said), ran.said
    with books.tampered("UPDATE penpay_audit.audit_log SET actor = 'nobody' WHERE seq = 2"):
        ran = books.penpay("audit", "verify", "--public-key", public_key, environment=elsewhere)
    assert (ran.status, ": row 2: was edited" in ran.said) == (1, True), ran.said


@pytest.mark.parametrize("place", ["", "misspelt", "file"])
def test_without_any_anchor_nothing_is_called_whole(
    books: Books, elsewhere, public_key: str, tmp_path: Path, place: str
):
    """Rows that were cut off or all written anew are seen by anchors only."""
    (tmp_path / "file").write_text("")
    wrong = {**elsewhere, "PENPAY_AUDIT__ANCHOR_DIR": str(tmp_path / place)}
    ran = books.penpay("audit", "verify", "--public-key", public_key, environment=wrong)
    assert (ran.status, "anchors: there are none" in ran.said) == (1, True), ran.said


def test_anchors_of_another_key_prove_nothing(books: Books, elsewhere):
    other = public_key_hex(b"another installation's own seed!")
    ran = books.penpay("audit", "verify", "--public-key", other, environment=elsewhere)
    assert ran.status == 1, ran.said


def test_what_is_no_key_is_said_so(books: Books, elsewhere):
    ran = books.penpay("audit", "verify", "--public-key", "zz", environment=elsewhere)
    assert (ran.status, "64 hex digits" in ran.said, "Traceback" in ran.said) == (2, True, False), ran.said


def test_the_public_key_is_not_the_secret_one(books: Books, public_key: str):
    assert len(bytes.fromhex(public_key)) == 32
    assert public_key not in " ".join(books.installation.environment.values())
