"""What cannot work is said in one line that names it."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from config.environment import SettingsError
from penpay import cli
from penpay.app.outside import _credential
from penpay.domain.errors import StoreError, Unavailable
from penpay.stack import ProcessFailed
from tests.config.test_settings import MANDATORY


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SettingsError("PENPAY_FX__URL is missing"), "penpay: PENPAY_FX__URL is missing"),
        (Unavailable("database"), "penpay: the database does not answer: see PENPAY_DATABASE__URL"),
        (StoreError("denied"), "penpay: the database refused: denied; `penpay doctor` says what it lacks"),
        (ProcessFailed("redis-server is not installed"), "penpay: redis-server is not installed"),
    ],
    ids=["settings", "away", "refused", "process"],
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


def test_a_bug_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(RuntimeError, match="ours"):
        cli.main()


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole configuration, whose database nobody serves."""
    certificate = tmp_path / "daraja.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    certificate.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    monkeypatch.chdir(tmp_path)
    nowhere = f"mysql://app:word@db/?unix_socket={tmp_path}/db.sock"
    about = {"APP_ENV": "development", "HOME": str(tmp_path), "PENPAY_DATABASE__URL": nowhere}
    for name, value in {**MANDATORY, **about, "PENPAY_DARAJA__CERTIFICATE": str(certificate)}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Runs a command as a shell would; answers its status."""

    def run(*words: str) -> object:
        monkeypatch.setattr(sys, "argv", ["penpay", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code

    return run


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    "command",
    ["migrate", "check", "reconcile", "audit verify", "review list", f"explain {'0' * 26}", "doctor"],
)
def test_a_database_that_is_away_is_called_so(
    command: str, ended: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*command.split()) == 1
    said = capsys.readouterr()
    if command == "doctor":
        assert "does not answer: see PENPAY_DATABASE__URL" in said.out
    else:
        assert said.err.splitlines()[-1] == "penpay: the database does not answer: see PENPAY_DATABASE__URL"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("variable", "host"),
    [
        ("PENPAY_HTTP__PUBLIC_BIND", "127.0.0.1"),
        ("PENPAY_HTTP__PUBLIC_BIND", "192.0.2.1"),
        ("PENPAY_HTTP__INTERNAL_BIND", "127.0.0.1"),
    ],
    ids=["public", "of another machine", "internal"],
)
def test_an_address_that_cannot_be_listened_on_is_one_line_that_names_it(
    variable: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PENPAY_HTTP__PUBLIC_BIND", "PENPAY_HTTP__INTERNAL_BIND"):
        monkeypatch.setenv(name, "127.0.0.1:0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"{host}:{taken.getsockname()[1]}"
        monkeypatch.setenv(variable, address)
        node = subprocess.run(
            [sys.executable, "-m", "penpay", "serve"], capture_output=True, text=True, timeout=60, check=False
        )
    (line,) = (node.stdout + node.stderr).splitlines()
    assert node.returncode == 1
    assert line.startswith(f"penpay: cannot listen on {address}: ")
    assert line.endswith(f": see {variable}")


STAFF = ("--by", "Achieng Otieno", "--second", "Brian Kamau", "--evidence", "ticket 4711")


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("explain", "01kaé"), 1, "no transaction 01KAÉ"),
        (("review", "resolve", "01kaé", "--action", "close", *STAFF), 1, "no review item 01KAÉ"),
        (("erase", "a b", *STAFF), 2, "A B is no customer's id"),
        (("restart", "/"), 2, "PATH is one that `penpay tree` shows, e.g. shards/3/ledger"),
    ],
    ids=["explain", "review", "erase", "restart"],
)
def test_what_can_be_no_id_and_no_path_is_looked_for_nowhere(
    words: tuple[str, ...],
    status: int,
    line: str,
    ended: Callable[..., object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(*words) == status
    assert capsys.readouterr().err == f"penpay: {line}\n"


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("--data", "{file}"), 1, "penpay sandbox: [Errno 17] File exists: '{file}'"),
        (("--data", "{file}.d", "--bind", "127.0.0.1:99999"), 2, "penpay sandbox: error: --bind must be host:port"),
    ],
    ids=["folder", "port"],
)
def test_rails_that_cannot_be_simulated_here_say_why(
    words: tuple[str, ...],
    status: int,
    line: str,
    tmp_path: Path,
    ended: Callable[..., object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert ended("sandbox", *(word.format(file=file) for word in words)) == status
    assert capsys.readouterr().err.splitlines()[-1] == line.format(file=file)


def test_a_key_that_can_be_none_says_nothing_about_the_receipt(
    tmp_path: Path, ended: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_text("{}")
    assert ended("receipt", "verify", str(receipt), "--public-key", "zz") == 2
    assert "must be 64 hex digits" in capsys.readouterr().err


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
