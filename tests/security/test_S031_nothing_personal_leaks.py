"""S31: canaries go through every door of a node; then logs, books, chains, Redis and answers are searched."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio

from penpay.client import ApiProblem
from tests.faults.stage import Stage
from tests.faults.withdrawing import Withdrawer, withdrawer

WRONG_PIN = "918273"
GUESS = "canary-password-that-is-wrong"
STRAY = "254733987654"


async def through_every_door(stage: Stage, who: Withdrawer) -> dict[str, str]:
    """Do what customers do, rightly and wrongly; what must not be found afterwards, by name."""
    client = who.client
    canaries = {
        "phone": who.msisdn,
        "local phone": f"0{who.msisdn[3:]}",
        "email": who.email,
        "password": who.password,
        "wrong password": GUESS,
        "wrong pin": WRONG_PIN,
        "access token": client._token,
        "refresh token": client._refresh_token,
        "stray phone": STRAY,
    }
    await who.script()
    canaries["code"] = code = await who.code()
    for attempt in (
        client.withdraw(who.amount, code=code, pin=WRONG_PIN, key=f"s31-{who.number}-wrong"),
        client.login(email=who.email, password=GUESS, device_id="canary-device"),
        client.change_password(GUESS, "another canary sentence"),
        client.reset_password(who.email, "123456", "another canary sentence"),
        client.register(email="not an address", phone=STRAY, password=GUESS, full_name="<Canary>"),
        client.set_pin(WRONG_PIN, password=GUESS),
        client.call("GET", f"/transactions/{STRAY}"),
        client.call("GET", f"/deriv/callback?acct1=CR1&token1=a1-canarytoken{STRAY}&cur1=USD&state={STRAY}"),
        client.call("POST", "/deposits", {"phone": STRAY, "amount": STRAY}, key="s31-bad"),
    ):
        with pytest.raises(ApiProblem) as refused:
            await attempt
        # The path of a request is its own sender's; nothing else comes back.
        said = json.dumps({key: value for key, value in refused.value.body.items() if key != "instance"})
        assert STRAY not in said
        assert GUESS not in said
    paid = await client.deposit("1300.00", "KES", key=f"s31-{STRAY}")
    await stage.reaches(paid["id"], "COMPLETED")
    await stage.reaches(await who.ask(code), "COMPLETED")
    for read in (client.me(), client.devices(), client.balance(), client.deriv_link(), client.export()):
        await read
    await client.forgot_password(who.email)
    return canaries


def logged(stage: Stage) -> Iterator[tuple[str, str]]:
    """What the node printed."""
    for path in Path(stage.installation.folder).glob("node-*.*"):
        if path.suffix in {".log", ".out"}:
            yield path.name, path.read_text(errors="replace")


def written(stage: Stage) -> Iterator[tuple[str, str]]:
    """Everything that the node wrote down outside of the sealed fields, with its place."""
    yield from logged(stage)
    columns = stage.rows(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        " WHERE table_schema IN ('penpay_ledger', 'penpay_audit', 'penpay_users')"
        " AND data_type IN ('char', 'varchar', 'text', 'mediumtext', 'longtext', 'blob', 'varbinary', 'binary')"
    )
    for schema, table, column in columns:
        for (value,) in stage.rows(f"SELECT DISTINCT `{column}` FROM `{schema}`.`{table}`"):
            yield f"{schema}.{table}.{column}", value.decode("latin-1") if isinstance(value, bytes) else str(value)


async def in_redis(stage: Stage) -> Iterator[tuple[str, str]]:
    client = redis.asyncio.Redis.from_url(stage.installation.redis.url(), decode_responses=True)
    found = []
    async for key in client.scan_iter():
        kind = await client.type(key)
        value: object = ""
        if kind == "string":
            value = await client.get(key)
        elif kind == "set":
            value = await client.smembers(key)
        elif kind == "stream":
            value = await client.xrange(key)
        elif kind == "hash":
            value = await client.hgetall(key)
        found.append((f"redis {kind}", f"{key} {value}"))
    await client.aclose()
    return iter(found)


async def test_no_canary_is_found_anywhere(stage: Stage) -> None:
    who = await withdrawer(stage)
    canaries = await through_every_door(stage, who)
    everything = list(itertools.chain(written(stage), await in_redis(stage)))
    places = {place for place, _ in everything}
    assert any(place.endswith(".log") for place in places)
    assert any(place.startswith("redis stream") for place in places)
    assert "penpay_audit.audit_log.detail" in places
    found = {
        (name, place)
        for (name, value), (place, text) in itertools.product(canaries.items(), everything)
        if re.search(rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])", text)
    }
    assert found == set()
    # The search itself works: what may stand there is found.
    assert any(who.loginid in text for place, text in everything if place == "penpay_ledger.transactions.deriv_loginid")
    assert any('"event"' in text for place, text in everything if place.endswith(".log"))


async def test_a_log_line_cannot_be_broken_into_two(stage: Stage) -> None:
    url = f"{stage.installation.node.public_url}/api/v1/me%0aforged%20line"
    async with stage.session.get(url, headers={"X-Request-Id": "a-b.c_d-12345678"}) as answer:
        assert answer.status == 404
    logs = [text for _, text in logged(stage)]
    assert any(logs)
    assert all("\nforged line" not in text for text in logs)
