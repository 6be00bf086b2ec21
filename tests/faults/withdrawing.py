"""Customers of the stage who withdraw: with a PIN, an account at Deriv that holds dollars, and a mailbox."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from penpay.client import ApiProblem, Client
from penpay.demo.play import PIN, sign_up
from penpay.demo.play import Stage as SignUp
from tests.faults.stage import Stage

_numbers = itertools.count(60_001)
_keys = (f"withdrawal-{number}" for number in itertools.count())
BALANCE_MINOR = 100_000


@dataclass(frozen=True, slots=True)
class Rails:
    """What the rails know of one customer who withdraws."""

    debits: Sequence[Mapping[str, Any]]
    payouts: Sequence[Mapping[str, Any]]
    returns: Sequence[Mapping[str, Any]]

    @property
    def paid(self) -> Sequence[Mapping[str, Any]]:
        """Payouts that reached the phone."""
        return [payout for payout in self.payouts if payout["result_code"] == "0"]

    @property
    def counts(self) -> tuple[int, int, int]:
        """(debits, payouts that reached the phone, dollars given back)."""
        return len(self.debits), len(self.paid), len(self.returns)


@dataclass(frozen=True, slots=True)
class Withdrawer:
    """One of them. The amount is their own, so that no two debits look alike."""

    stage: Stage
    client: Client
    number: int
    email: str
    password: str
    loginid: str

    @property
    def msisdn(self) -> str:
        return f"2547{self.number:08d}"

    @property
    def amount(self) -> str:
        """Their usual amount, in dollars."""
        return f"{20 + self.number % 50}.{self.number % 100:02d}"

    @property
    def amount_minor(self) -> int:
        return int(self.amount.replace(".", ""))

    async def script(
        self, *, deriv: Mapping[str, Any] | None = None, b2c: Mapping[str, Any] | None = None, **back: Any
    ) -> None:
        """What becomes of the debit, of the payout, and (`back`) of the dollars' way back."""
        control = self.stage.control
        await control.script_debit(self.amount, deriv or {})
        await control.script_payout(self.msisdn, b2c or {})
        await control.script_transfer(self.loginid, back)

    async def code(self, amount: str = "") -> str:
        """Have a code mailed, and read it."""
        async with asyncio.timeout(30):
            while True:
                try:
                    await self.client.withdrawal_code(amount or self.amount)
                    break
                except ApiProblem as problem:
                    if problem.status != 503:
                        raise
                    await asyncio.sleep(float(problem.body.get("retry_after_s") or 1))
        return await self.stage.control.newest_code(self.email)

    async def ask(self, code: str, *, amount: str = "", pin: str = PIN, key: str = "") -> str:
        """Ask for a withdrawal with this code; the transaction's id. A rail that rests is asked again, with one key."""
        key = key or next(_keys)
        async with asyncio.timeout(30):
            while True:
                try:
                    answer = await self.client.withdraw(amount or self.amount, code=code, pin=pin, key=key)
                    return str(answer["id"])
                except ApiProblem as problem:
                    if problem.status != 503:
                        raise
                    await asyncio.sleep(0.3)

    async def withdraw(
        self, *, deriv: Mapping[str, Any] | None = None, b2c: Mapping[str, Any] | None = None, **back: Any
    ) -> str:
        """Script the rails, fetch a code and ask."""
        await self.script(deriv=deriv, b2c=b2c, **back)
        return await self.ask(await self.code())

    async def told(self) -> Rails:
        """What happened on the rails."""
        truth = await self.stage.control.get("/truth")
        transfers = truth["transfers"]
        return Rails(
            [one for one in transfers if (one["kind"], one["from_loginid"]) == ("paymentagent_withdraw", self.loginid)],
            [one for one in truth["payouts"] if one["msisdn"] == self.msisdn],
            [one for one in transfers if (one["kind"], one["to_loginid"]) == ("paymentagent_transfer", self.loginid)],
        )

    async def payout(self) -> Mapping[str, Any]:
        """Their newest payout, once Safaricom has taken it."""
        async with asyncio.timeout(60):
            while not (payouts := (await self.told()).payouts):
                await asyncio.sleep(0.05)
        return payouts[-1]

    async def balance_minor(self) -> int:
        """What their Deriv account holds."""
        (one,) = [
            one for one in (await self.stage.control.get("/truth"))["customers"] if one["loginid"] == self.loginid
        ]
        return int(one["current_minor"])


async def withdrawer(stage: Stage) -> Withdrawer:
    """Somebody whom no other test knows, ready to withdraw."""
    number = next(_numbers)
    public_url = stage.installation.node.public_url
    client = Client(public_url, stage.session)
    balance = f"{BALANCE_MINOR // 100}.00"
    person = await sign_up(
        SignUp(public_url, stage.session, stage.control, 25.0), client, f"2547{number:08d}", number, balance=balance
    )
    await client.set_pin(PIN, password=person.password)
    return Withdrawer(stage, client, number, person.email, person.password, person.loginid)


def slow(*values: str) -> list[Any]:
    """Further values of a parameter, which show the same at greater length."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def held(stage: Stage, transaction_id: str) -> dict[str, int]:
    """What a transaction left in the accounts that must be empty at its end, by account, in minor units."""
    found = stage.rows(
        "SELECT a.code, CAST(SUM(e.amount_minor) AS SIGNED) FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE p.transaction_id = %s AND a.code IN ('customer', 'deriv_in', 'b2c_out', 'deriv_out')"
        " GROUP BY a.code HAVING SUM(e.amount_minor) <> 0",
        transaction_id,
    )
    return {str(code): int(minor) for code, minor in found}


def operations(stage: Stage, transaction_id: str, kind: str) -> list[tuple[str, int]]:
    """(state, attempts made) of each of a transaction's operations of one kind, in order."""
    found = stage.rows(
        "SELECT state, (SELECT COUNT(*) FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id)"
        " FROM {ledger}.provider_operations o WHERE transaction_id = %s AND kind = %s ORDER BY id",
        transaction_id,
        kind,
    )
    return [(str(state), int(attempts)) for state, attempts in found]


def believed_for(stage: Stage, transaction_id: str) -> list[str]:
    """What each payout of a withdrawal was believed for: Safaricom's `result`, the answer to a `status` question."""
    found = stage.rows(
        "SELECT JSON_VALUE(data, '$.source') FROM {ledger}.transaction_events"
        " WHERE transaction_id = %s AND event = 'PayoutPaid' ORDER BY seq",
        transaction_id,
    )
    return [str(source) for (source,) in found]


@asynccontextmanager
async def no_status(stage: Stage) -> AsyncIterator[None]:
    """Whoever asks Safaricom what became of something is not told meanwhile."""
    silent = {"op": "status", "times": 0, "callback": "lost"}
    await stage.control.post("/daraja/script", {"steps": [silent]})
    yield
    await stage.control.post("/daraja/script", {"clear": True})


async def tree(stage: Stage, path: str, command: str) -> None:
    """Stop or start one actor by path."""
    url = f"{stage.installation.node.internal_url}/ops/tree/{path}/{command}"
    headers = {"Authorization": f"Bearer {stage.installation.ops_token}"}
    async with stage.session.post(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
