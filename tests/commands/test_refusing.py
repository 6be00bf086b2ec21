"""What cannot work is said in one line that names it."""

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from config.environment import SettingsError
from penpay import cli
from penpay.app.outside import _credential
from penpay.domain.errors import StoreError, Unavailable
from tests.config.test_settings import MANDATORY


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SettingsError("PENPAY_FX__URL is missing"), "penpay: PENPAY_FX__URL is missing"),
        (Unavailable("database"), "penpay: database is away"),
        (StoreError("denied"), "penpay: the database refused: denied; `penpay doctor` says what it lacks"),
    ],
    ids=["settings", "away", "refused"],
)
def test_a_command_that_cannot_work_ends_with_a_line_and_a_status(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == (2 if isinstance(error, SettingsError) else 1)
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    "command",
    ["migrate", "check", "reconcile", "audit verify", "review list", f"explain {'0' * 26}", "doctor"],
)
def test_a_database_that_is_away_is_called_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = tmp_path / "daraja.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    certificate.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    monkeypatch.chdir(tmp_path)
    nowhere = f"mysql://app:word@db/?unix_socket={tmp_path}/db.sock"
    about = {"APP_ENV": "development", "HOME": str(tmp_path), "PENPAY_DATABASE__URL": nowhere}
    for name, value in {**MANDATORY, **about, "PENPAY_DARAJA__CERTIFICATE": str(certificate)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["penpay", *command.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    if command == "doctor":
        assert "does not answer: see PENPAY_DATABASE__URL" in said.out
    else:
        assert said.err.splitlines()[-1] == "penpay: database is away"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the file: No such file or directory"),
        (b"", "neither a certificate nor"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "neither a certificate nor"),
    ],
    ids=["missing", "empty", "broken"],
)
def test_a_certificate_that_is_none_names_its_variable(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "daraja.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"^PENPAY_DARAJA__CERTIFICATE: .*{words}"):
        _credential(path, "word")
