"""What cannot work is said in one line that names it."""

from pathlib import Path

import pytest

from config.environment import SettingsError
from penpay import cli
from penpay.app.outside import _credential
from penpay.domain.errors import StoreError, Unavailable


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
