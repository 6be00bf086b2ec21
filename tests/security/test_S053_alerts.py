"""S53: what must not go unnoticed has an alert: its metric exists, its labels are real, and its command can be run.

Alertmanager and pagers are an installation's own. Here each attack is made on a running node, and the very series that
its rule looks at is seen to rise; what cannot be broken here is held against the names that the node exposes.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from prometheus_client.parser import text_string_to_metric_families

from penpay.adapters.metrics import Metrics
from penpay.cli import app
from tests.faults.stage import Stage

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "config" / "prometheus-rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
SERIES = re.compile(r"\b(penpay_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
NEEDED = {
    "auth failures": "PenPayGuessing",
    "403 spikes": "PenPayForbiddenSpike",
    "invariant red": "PenPayInvariantBroken",
    "chain red": "PenPayChainBroken",
    "UNKNOWN age": "PenPayOutcomeUnknown",
    "float low": "PenPayDollarsLow",
    "replay detected": "PenPayTokensReplayed",
    "nobody serves": "PenPayNobodyServes",
}
"""What the requirement names, and the alert that answers it."""


def looked_at(rule: dict[str, Any]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Series of a rule with their matchers."""
    return [(name, MATCHER.findall(inside)) for name, inside in SERIES.findall(rule["expr"])]


def matches(labels: dict[str, str], matchers: list[tuple[str, str, str]]) -> bool:
    verdicts = {
        "=": lambda value, wanted: value == wanted,
        "!=": lambda value, wanted: value != wanted,
        "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
        "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
    }
    return all(verdicts[how](labels.get(label, ""), wanted) for label, how, wanted in matchers)


def test_everything_that_is_asked_for_has_its_alert():
    assert set(NEEDED.values()) <= {rule["alert"] for rule in RULES}
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    # An attack is told within a minute: Prometheus waits no longer than that before it fires.
    for alert in set(NEEDED.values()) - {"PenPayOutcomeUnknown"}:
        (rule,) = [one for one in RULES if one["alert"] == alert]
        assert rule.get("for", "0m") in {"0m", "1m"}, alert


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_looks_at_what_is_exposed(rule: dict[str, Any]):
    exposed = {
        name: set(collector._labelnames)
        for collector, names in Metrics().registry._collector_to_names.items()
        for name in names
    }
    assert looked_at(rule)
    for name, matchers in looked_at(rule):
        assert name in exposed, name
        assert {label for label, _, _ in matchers} <= exposed[name], name
        told = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert set(told) <= exposed[name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_how_urgent_it_is_and_where_to_begin(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    program, *words = rule["annotations"]["command"].split()
    assert program == "penpay"
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    # As it stands there: at night nobody knows yet which transaction it is.
    assert not hasattr(command, "commands")
    assert [one.name for one in command.params if one.required] == []
    file, _, section = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / file).read_text(), re.MULTILINE)
    assert section in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("alert", ["PenPayDollarsLow", "PenPayShillingsLow"])
def test_a_balance_that_a_node_knew_before_it_stood_by_wakes_nobody(alert: str):
    (rule,) = [one for one in RULES if one["alert"] == alert]
    owning = ("penpay_actors_alive", [("kind", "=", "ledger")])
    assert owning in looked_at(rule)
    assert "and on (instance)" in rule["expr"]


async def test_a_node_that_runs_shards_is_told_from_one_that_does_not(stage: Stage):
    assert await value(stage, "PenPayNobodyServes") >= 1


async def scraped(stage: Stage) -> list[tuple[str, dict[str, str], float]]:
    async with stage.session.get(f"{stage.installation.node.internal_url}/metrics") as answer:
        text = await answer.text()
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


async def value(stage: Stage, alert: str) -> float:
    """What the series of an alert add up to now."""
    (rule,) = [one for one in RULES if one["alert"] == alert]
    ((name, matchers),) = looked_at(rule)
    return sum(seen for found, labels, seen in await scraped(stage) if found == name and matches(labels, matchers))


async def guess_a_password(stage: Stage) -> None:
    device = {"id": "guesser", "name": "X", "platform": "web"}
    body = {"email": "nobody@example.com", "password": "a guess", "device": device}
    url = f"{stage.installation.node.public_url}/api/v1/auth/login"
    async with stage.session.post(url, json=body) as answer:
        assert answer.status == 401


async def replay_a_token(stage: Stage) -> None:
    url = f"{stage.installation.node.public_url}/api/v1/auth/refresh"
    async with stage.session.post(url, json={"refresh_token": "x" * 43, "device_id": "thief"}) as answer:
        assert answer.status == 401


async def do_what_is_forbidden(stage: Stage) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    url = f"{stage.installation.node.public_url}/api/v1/auth/refresh"
    async with stage.session.post(url, json={"device_id": "thief"}, headers=elsewhere) as answer:
        assert answer.status == 403


async def forge_a_callback(stage: Stage) -> None:
    url = f"{stage.installation.node.public_url}/cb/d/{'00' * 35}"
    async with stage.session.post(url, json={}) as answer:
        assert answer.status == 404


async def repeat_a_callback(stage: Stage) -> None:
    await stage.reaches(await stage.deposit(stage.customer(), phone={"copies": 3}), "COMPLETED")


PROVOKED = {
    "PenPayGuessing": guess_a_password,
    "PenPayTokensReplayed": replay_a_token,
    "PenPayForbiddenSpike": do_what_is_forbidden,
    "PenPayForgedCallbacks": forge_a_callback,
    "PenPayCallbacksReplayed": repeat_a_callback,
}


@pytest.mark.parametrize("alert", PROVOKED)
async def test_an_attack_moves_the_series_that_its_alert_looks_at(stage: Stage, alert: str):
    before = await value(stage, alert)
    await PROVOKED[alert](stage)
    async with asyncio.timeout(60):
        while await value(stage, alert) <= before:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "alert",
    ["PenPayDollarsLow", "PenPayShillingsLow", "PenPayDerivAway", "PenPayNewsNotAsked", "PenPayBooksNotAsked"],
)
async def test_a_gauge_is_there_before_anything_is_wrong(stage: Stage, alert: str):
    """An alert on a series that appears with the trouble would be an alert on nothing."""
    (rule,) = [one for one in RULES if one["alert"] == alert]
    for name, matchers in looked_at(rule):
        async with asyncio.timeout(90):
            while not any(found == name and matches(labels, matchers) for found, labels, _ in await scraped(stage)):
                await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_a_broken_invariant_turns_its_gauge_red(stage: Stage):
    """A phone stands in clear where anybody may read it: the node's own next look, within the minute, finds it."""
    assert await value(stage, "PenPayInvariantBroken") == 0
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    change = "UPDATE {ledger}.provider_operations SET recipient = %s WHERE transaction_id = %s AND kind = 'STK'"
    ((kept,),) = stage.rows(
        "SELECT recipient FROM {ledger}.provider_operations WHERE transaction_id = %s AND kind = 'STK'", deposit
    )
    stage.rows(change, who.msisdn, deposit)
    try:
        async with asyncio.timeout(150):
            while await value(stage, "PenPayInvariantBroken") == 0:
                await asyncio.sleep(0.2)
    finally:
        stage.rows(change, kept, deposit)
