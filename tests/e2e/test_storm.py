"""Deposits and withdrawals on two nodes, one of which is killed every five seconds: nothing happens twice."""

import asyncio
import itertools
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from penpay.client import JSON, ApiProblem, Client
from penpay.demo.play import FINAL, PIN, Stage, sign_up
from penpay.demo.proof import trial_balance
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.e2e.crowd import FASTER
from tests.e2e.judge import rows, settled

KILL_EVERY_S = 5.0
PATIENCE_S = 60.0
SETTINGS = {
    **FASTER,
    "PENPAY_TIMING__SHARD_LEASE_S": "6",
    "PENPAY_TIMING__LEASE_RENEW_S": "2",
    "PENPAY_LIMITS__WITHDRAWAL_PER_MINUTE": "1000",
    "PENPAY_LIMITS__WITHDRAWAL_PER_DAY": "1000",
    "PENPAY_LIMITS__OTP_PER_15_MINUTES": "1000",
}
_UNAVAILABLE = frozenset({502, 503})


@dataclass(slots=True)
class Person:
    """Somebody who insists, at whichever node answers."""

    number: int
    clients: list[Client]
    control: SandboxControl
    email: str = ""
    loginid: str = ""
    ends: list[tuple[str, str]] = field(default_factory=list)

    @property
    def msisdn(self) -> str:
        return f"2547{self.number:08d}"

    async def rounds(self, count: int) -> None:
        """One transaction after the other, in turn a deposit and a withdrawal."""
        for turn in range(count):
            cents = (self.number * 17 + turn * 7) % 100
            if turn % 2:
                id_ = await self._withdraw(f"{5 + turn}.{cents:02d}")
            else:
                id_ = await self._deposit(f"{1000 + 40 * (self.number % 50) + turn}.00")
            self.ends.append((id_, await self._end(id_)))

    async def _deposit(self, amount: str) -> str:
        key = secrets.token_hex(8)
        return str((await self._insist(lambda client: client.deposit(amount, "KES", key=key)))["id"])

    async def _withdraw(self, amount: str) -> str:
        for _ in range(20):
            await self._insist(lambda client: client.withdrawal_code(amount))
            code, key = await self.control.newest_code(self.email), secrets.token_hex(8)
            try:
                asked = self._insist(lambda client, c=code, k=key: client.withdraw(amount, code=c, pin=PIN, key=k))
                return str((await asked)["id"])
            except ApiProblem as problem:
                # A code was asked for twice, and the other one is the newest now.
                if "code" not in problem.code:
                    raise
        raise AssertionError("no code was taken")

    async def _end(self, id_: str) -> str:
        while (status := str((await self._insist(lambda client: client.transaction(id_)))["status"])) not in FINAL:
            await asyncio.sleep(0.3)
        return status

    async def _insist(self, ask: Any) -> JSON:
        said, deadline_s = "", time.monotonic() + PATIENCE_S
        for client in itertools.cycle(self.clients):
            assert time.monotonic() < deadline_s, f"{self.email} was not served: {said}"
            try:
                answer: JSON = await ask(client)
                return answer
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            except ApiProblem as problem:
                said = str(problem)
                if problem.status not in _UNAVAILABLE and problem.code not in {"request_in_progress", "rate_limited"}:
                    raise
            await asyncio.sleep(0.1)
        raise AssertionError(said)


@pytest.fixture
def storming() -> Iterator[PrivateInstallation]:
    with PrivateInstallation(settings=SETTINGS) as installation:
        installation.start()
        installation.add_node("node-2").spawn()
        yield installation


async def _person(installation: PrivateInstallation, session: aiohttp.ClientSession, number: int) -> Person:
    control = SandboxControl(installation.control_url, session)
    url = installation.node.public_url
    clients = [Client(node.public_url, session) for node in installation.nodes]
    one = Person(number, clients, control)
    stage = Stage(url, session, control, 25.0)
    person = await sign_up(stage, clients[0], one.msisdn, number, balance="500.00")
    await clients[0].set_pin(PIN, password=person.password)
    login = await clients[0].login(email=person.email, password=person.password, device_id=f"demo-{number}")
    clients[1].carry(str(login["access_token"]))
    one.email, one.loginid = person.email, person.loginid
    await control.script_phone(one.msisdn, {"outcome": "1032"} if number % 9 == 4 else {})
    await control.script_payout(one.msisdn, _PAYOUTS.get(number % 9, {}))
    return one


_PAYOUTS: Mapping[int, Mapping[str, Any]] = {2: {"callback": "lost"}, 7: {"fault": "reset_after"}}


async def _kill_in_turn(installation: PrivateInstallation, kills: list[str]) -> None:
    for node in itertools.cycle(installation.nodes):
        await asyncio.sleep(KILL_EVERY_S)
        assert node.is_running(), f"{node.name} left by itself: {node.log_tail(12)}"
        node.kill()
        kills.append(node.name)
        node.spawn()


@pytest.mark.parametrize(
    ("people", "rounds"),
    [pytest.param(10, 4, id="forty"), pytest.param(50, 10, id="five_hundred", marks=pytest.mark.slow)],
)
async def test_nodes_are_killed_every_five_seconds(storming: PrivateInstallation, people: int, rounds: int) -> None:
    kills: list[str] = []
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), timeout=timeout) as session:
        crowd = [await _person(storming, session, number) for number in range(1, people + 1)]
        storm = asyncio.create_task(_kill_in_turn(storming, kills))
        try:
            walking = asyncio.gather(*(person.rounds(rounds) for person in crowd))
            await asyncio.wait([walking, storm], return_when=asyncio.FIRST_COMPLETED)
            assert not storm.done(), storm.exception()
            await walking
        finally:
            storm.cancel()
        found = await settled(storming, within_s=90.0)
        truth = await SandboxControl(storming.control_url, session).get("/truth")
    assert sum(found.values()) == people * rounds
    assert len(kills) > 1
    await asyncio.to_thread(_judge, storming, crowd, truth)


def _judge(installation: PrivateInstallation, crowd: list[Person], truth: Mapping[str, Any]) -> None:
    """What each login got and each phone was paid, by the rails and by the books; then the books as a whole."""
    ended = Counter(
        (type_, state, loginid)
        for type_, state, loginid in rows(installation, "SELECT type, state, deriv_loginid FROM {ledger}.transactions")
    )
    assert not [key for key in ended if key[1] == "IN_REVIEW"], ended
    transfers = Counter(one["to_loginid"] for one in truth["transfers"] if one["kind"] == "paymentagent_transfer")
    debits = Counter(one["from_loginid"] for one in truth["transfers"] if one["kind"] == "paymentagent_withdraw")
    paid = Counter(one["msisdn"] for one in truth["payouts"] if one["result_code"] == "0")
    for person in crowd:
        completed, returned = (
            ended["WITHDRAWAL", "COMPLETED", person.loginid],
            ended["WITHDRAWAL", "REVERSED", person.loginid],
        )
        assert transfers[person.loginid] == ended["DEPOSIT", "COMPLETED", person.loginid] + returned
        assert debits[person.loginid] == completed + returned
        assert paid[person.msisdn] == completed
    books, summary = trial_balance(installation), truth["summary"]
    for code, currency, theirs in (
        ("mpesa_paybill", "KES", "paybill"),
        ("mpesa_utility", "KES", "utility"),
        ("deriv_agent", "USD", "agent"),
    ):
        assert books[code, currency] == summary[theirs]["current_minor"], code
    for code, currency in itertools.product(("customer", "deriv_out", "deriv_in", "b2c_out"), ("KES", "USD")):
        assert books.get((code, currency), 0) == 0, code
    installation.run("check")
    installation.run("audit", "verify")
