"""No engine runs here, so the files are read as an engine would read them."""

import re
from pathlib import Path

import pytest
import yaml

from config.environment import nested
from config.sections import SECTIONS
from config.settings import load_settings
from penpay.sandbox.config import SandboxConfig

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("penpay", "migrate", "sandbox")


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def last_stage() -> list[tuple[str, str]]:
    every = instructions()
    start = max(number for number, (word, _) in enumerate(every) if word == "FROM")
    return every[start:]


def environment_of(service: str) -> dict[str, str]:
    values = SERVICES[service]["environment"]
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in values.items()}


def test_the_image_has_a_build_stage_and_a_clean_one():
    assert [word for word, _ in instructions()].count("FROM") == 2
    assert not any(word == "RUN" and "pip install" in rest for word, rest in last_stage())
    assert any(word == "COPY" and rest.startswith("--from=build ") for word, rest in last_stage())


def test_the_image_runs_as_nobody_in_particular():
    user = [rest for word, rest in last_stage() if word == "USER"]
    assert user == ["10001:10001"]


def test_the_image_checks_hashes_of_all_it_downloads():
    installs = [
        part for word, rest in instructions() if word == "RUN" for part in rest.split("&&") if "pip install" in part
    ]
    assert installs
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)
    assert all(word != "ADD" for word, _ in instructions())


def test_the_image_holds_no_secret():
    text = "\n".join(rest for word, rest in instructions() if word in {"ENV", "ARG"})
    assert not re.search(r"(?i)token|password|secret|passkey|_key", text)


def test_every_variable_of_the_image_is_a_setting():
    text = " ".join(rest for word, rest in last_stage() if word == "ENV")
    given = dict(re.findall(r"(PENPAY_\w+)=(\S+)", text))
    assert given
    nested(given, SECTIONS)


def test_what_the_image_copies_exists_and_is_let_through():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert source in allowed
                assert (ROOT / source).exists()


@pytest.mark.parametrize("service", OURS)
def test_our_containers_give_up_what_they_do_not_need(service):
    settings = SERVICES[service]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["pids_limit"]
    assert settings["mem_limit"]
    assert not settings.get("privileged")


def test_published_ports_are_on_loopback_and_never_the_internal_listener():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") and not port.endswith(":8081") for port in published)


def test_the_node_of_compose_has_a_complete_configuration(tmp_path):
    settings = load_settings({**environment_of("penpay"), "PENPAY_NODE__STATE_DIR": str(tmp_path)}, dotenv=None)
    assert settings.database.migration_url == settings.database.url


def test_compose_knows_the_rails_identities(tmp_path):
    rails, given = SandboxConfig(data_dir=tmp_path), environment_of("penpay")
    assert given["PENPAY_DERIV__AGENT_TOKEN"] == rails.agent_token
    assert given["PENPAY_DERIV__AGENT_LOGINID"] == rails.agent_loginid
    assert given["PENPAY_DERIV__APP_ID"] == rails.deriv_app_id
    assert given["PENPAY_DARAJA__PASSKEY"] == rails.passkey
    assert given["PENPAY_DARAJA__SHORTCODE"] == rails.shortcode
    assert given["PENPAY_DARAJA__B2C_SHORTCODE"] == rails.b2c_shortcode
    assert given["PENPAY_DARAJA__CONSUMER_SECRET"] == rails.consumer_secret
    assert given["PENPAY_DARAJA__INITIATOR_PASSWORD"] == rails.initiator_password
    assert given["PENPAY_SMS__API_KEY"] == rails.sms_api_key


def test_the_database_of_compose_has_the_settings_of_the_private_one():
    from penpay.stack import mariadb  # noqa: PLC0415 - its private tuple is what is compared

    assert set(mariadb._SAFETY_OPTIONS) <= set(SERVICES["mariadb"]["command"])


def test_the_order_of_starting_is_the_order_of_need():
    needs = SERVICES["penpay"]["depends_on"]
    assert needs["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["migrate"]["depends_on"]["mariadb"]["condition"] == "service_healthy"
