"""S30: secrets come from the environment or from files, and are seen nowhere else."""

import re
import subprocess
from pathlib import Path

import pytest

from config.environment import SettingsError
from config.sections import SECTIONS, Settings
from config.settings import load_settings
from tests.config.test_settings import PRODUCTION

ROOT = Path(__file__).parents[2]
SECRETS = (
    *("PENPAY_DERIV__AGENT_TOKEN", "PENPAY_DARAJA__CONSUMER_KEY", "PENPAY_DARAJA__CONSUMER_SECRET"),
    *("PENPAY_DARAJA__PASSKEY", "PENPAY_DARAJA__INITIATOR_PASSWORD", "PENPAY_SMS__API_KEY"),
    *("PENPAY_SECURITY__OPS_TOKEN", "PENPAY_DATABASE__URL"),
)
LOOKS_LIKE_ONE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=]{20}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}"
    r"|xox[baprs]-[0-9A-Za-z-]{10,}|sk_live_[0-9A-Za-z]{16,}|eyJhbGciOi[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[\w-]{60,}"
)


def test_no_file_of_the_project_holds_what_looks_like_a_secret():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode()
    files = [ROOT / name for name in listed.split("\0") if name] or list(ROOT.glob("penpay/**/*.py"))
    assert len(files) > 100
    found = [
        str(file.relative_to(ROOT))
        for file in files
        if file.suffix not in {".lock", ".png"}
        and "swagger-ui" not in file.parts
        and file.is_file()
        and LOOKS_LIKE_ONE.search(file.read_text(errors="replace"))
    ]
    assert found == []


def test_settings_show_no_secret_however_they_are_shown():
    settings = load_settings(PRODUCTION, dotenv=None)
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())]
    values = [PRODUCTION[name].rpartition("@")[0] or PRODUCTION[name] for name in SECRETS]
    for value in values:
        assert not [text for text in shown if value in text], value


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_stand_in_a_file(tmp_path: Path, name: str):
    file = tmp_path / "secret"
    file.write_text(PRODUCTION[name] + "\n")
    environ = {key: value for key, value in PRODUCTION.items() if key != name} | {f"{name}_FILE": str(file)}
    assert load_settings(environ, dotenv=None) == load_settings(PRODUCTION, dotenv=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENPAY_DARAJA__PASSKEY", "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"),
        ("PENPAY_SECURITY__OPS_TOKEN", "changeme"),
    ],
)
def test_a_secret_that_everybody_has_does_not_start(name: str, value: str):
    with pytest.raises(SettingsError, match=f"{name} is a default secret"):
        load_settings(PRODUCTION | {name: value}, dotenv=None)


def test_every_field_that_is_named_like_a_secret_is_typed_as_one():
    named = re.compile(r"(password|secret|token|passkey|_key|pepper)$")
    for section, model in SECTIONS.items():
        for field, info in model.model_fields.items():
            if named.search(field) and not field.startswith(("blind_index_key_id",)):
                assert "Secret" in str(info.annotation) or "VersionedKey" in str(info.annotation), (section, field)
    assert Settings.model_config["hide_input_in_errors"]


def test_no_command_takes_a_secret_on_its_command_line():
    source = "\n".join(file.read_text() for file in (ROOT / "penpay").rglob("*.py") if "commands" in file.parts)
    options = re.findall(r'typer\.(?:Option|Argument)\([^)]*"--([a-z-]+)"', source)
    assert not [one for one in options if re.search(r"password|secret|token|passkey|pin\b", one)]
