"""One running installation on which faults are played, each by a customer of its own."""

import asyncio
import itertools
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from penpay.bench.seed import Customer
from penpay.chaos.books import rows
from penpay.chaos.pace import FASTER
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.e2e.crowd import Operator

SETTINGS = {
    **FASTER,
    "PENPAY_TIMING__SPEED": "200",
    "PENPAY_TIMING__STK_MAX_AGE_S": "12000",
    "PENPAY_TIMING__PAID_IN_TIME_S": "12000",
    # A claim that no query confirmed by then is a person's: a machine that stalls for some seconds is not so late.
    "PENPAY_TIMING__STK_UNKNOWN_S": "3000",
    # Calls that get no answer are given up sooner than a test.
    "PENPAY_TIMING__DARAJA_CALL_S": "2",
    "PENPAY_TIMING__DERIV_CALL_S": "2",
    # Balances and rates are asked for by the second, so that what is wrong with them shows at once.
    "PENPAY_TIMING__FLOAT_POLL_S": "1",
    "PENPAY_TIMING__FX_POLL_S": "0.5",
    "PENPAY_LIMITS__FX_MAX_AGE_S": "10",
}
ANSWER_S = {"answer_delay_s": 0.3}
WAITS = {"outcome": "wait"}
"""Of a prompt: it stays open until the test has it answered (`Stage.answers`)."""
UNASKED = {"query": ["pending"] * 60}
"""Of a prompt: whoever asks about it learns nothing, so that only what Safaricom tells by itself counts.

Its list of payments tells too, and may be first: where the callback must be, the stage is `unlisted`."""
_keys = (f"key-{number}" for number in itertools.count())


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the API."""

    status: int
    body: Any
    raw: bytes
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """Of a problem."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the rails know of one customer."""

    pushes: Sequence[Mapping[str, Any]]
    payments: Sequence[Mapping[str, Any]]
    transfers: Sequence[Mapping[str, Any]]

    @property
    def counts(self) -> tuple[int, int, int]:
        """(prompts shown, payments made, credits received)."""
        return len(self.pushes), len(self.payments), len(self.transfers)


@dataclass(frozen=True, slots=True)
class Stage:
    """Asks, scripts and looks. Amounts are the customer's own, so that no two transfers look alike."""

    installation: PrivateInstallation
    session: aiohttp.ClientSession
    control: SandboxControl
    customers: Iterator[Customer]

    @property
    def operator(self) -> Operator:
        return Operator(self.installation.node, self.installation.ops_token, self.session)

    def customer(self) -> Customer:
        """Somebody whom no other test knows."""
        return next(self.customers)

    async def post(
        self, who: Customer, path: str, body: object, *, key: str | None = "", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One POST. Text and bytes go out as they stand; `key` None sends no Idempotency-Key, "" a fresh one."""
        sent = {"Authorization": f"Bearer {who.token}", "Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key or next(_keys)
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        url = f"{self.installation.node.public_url}/api/v1{path}"
        async with self.session.post(url, data=data, headers=sent) as answer:
            return await _reply(answer)

    async def get(self, who: Customer, path: str) -> Reply:
        """One GET."""
        headers = {"Authorization": f"Bearer {who.token}"}
        async with self.session.get(f"{self.installation.node.public_url}/api/v1{path}", headers=headers) as answer:
            return await _reply(answer)

    async def ask(self, who: Customer, amount_kes: int = 0, *, key: str | None = "") -> Reply:
        """Ask for a deposit."""
        return await self.post(who, "/deposits", self.body(who, amount_kes), key=key)

    def body(self, who: Customer, amount_kes: int = 0) -> dict[str, Any]:
        return {"amount": {"amount": f"{amount_kes or self.amount_of(who)}.00", "currency": "KES"}}

    def amount_of(self, who: Customer) -> int:
        """Their usual amount, in shillings."""
        return 1000 + 7 * who.number

    async def deposit(
        self,
        who: Customer,
        amount_kes: int = 0,
        *,
        phone: Mapping[str, Any] | None = None,
        deriv: Mapping[str, Any] | None = None,
    ) -> str:
        """Script the rails and ask; the transaction's id."""
        await self.control.script_phone(who.msisdn, {**ANSWER_S, **(phone or {})})
        await self.control.script_transfer(who.loginid, deriv or {})
        key = next(_keys)
        async with asyncio.timeout(30):
            # A rail that rests after many faults answers 503; whoever asks again with the same key is safe.
            while (reply := await self.ask(who, amount_kes, key=key)).status == 503:
                await asyncio.sleep(0.3)
        assert reply.status == 202, reply.body
        return str(reply.body["id"])

    async def only_called_back(self, who: Customer, **phone: Any) -> str:
        """A deposit of which its callback alone tells, and that behind the answer to the push: what comes before it has
        to be confirmed by a query. Its stage is `unlisted`."""
        deposit = await self.deposit(who, phone={**UNASKED, **WAITS, **phone})
        await self.reaches(deposit, "AWAITING_PAYER")
        await self.answers(who)
        return deposit

    async def reaches(self, transaction_id: str, *states: str, within_s: float = 60.0) -> str:
        """Wait until the transaction stands in one of these states."""
        try:
            async with asyncio.timeout(within_s):
                while (state := self.state(transaction_id)) not in states:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            steps = self.rows(
                "SELECT event, data FROM {ledger}.transaction_events WHERE transaction_id = %s ORDER BY seq",
                transaction_id,
            )
            words = f"{self.state(transaction_id)}, not {states}: {steps}"
            raise AssertionError(words) from None
        return state

    async def push_of(self, who: Customer) -> Mapping[str, Any]:
        """Their newest prompt, once it is there."""
        async with asyncio.timeout(30):
            while not (pushes := (await self.told(who)).pushes):
                await asyncio.sleep(0.05)
        return pushes[-1]

    async def answers(self, who: Customer, code: str = "0") -> None:
        """Have them answer the prompt that was left open (`WAITS`): when the test wants it, however slow all is."""
        push = await self.push_of(who)
        await self.control.post(f"/pushes/{push['checkout_id']}/answer", {"result_code": code})

    async def told(self, who: Customer) -> Told:
        """What happened on the rails."""
        truth = await self.control.get("/truth")
        return Told(
            [push for push in truth["pushes"] if push["msisdn"] == who.msisdn],
            [payment for payment in truth["payments"] if payment["msisdn"] == who.msisdn],
            [transfer for transfer in truth["transfers"] if transfer["to_loginid"] == who.loginid],
        )

    async def forge(self, url: str, **what: Any) -> int:
        """Post a paid callback that Safaricom never sent; the status of our answer."""
        answer = await self.control.post("/forge", {"url": url, **what})
        return int(answer["status"])

    async def redis_again(self) -> None:
        """Start Redis, and wait until the limits that may not be counted by one node alone are counted in it again."""
        await self.installation.redis.start_async()
        body = {"password": "nobody has this one", "device": {"id": "d", "name": "d", "platform": "web"}}
        url = f"{self.installation.node.public_url}/api/v1/auth/login"
        async with asyncio.timeout(30):
            status = 503
            while status == 503:
                await asyncio.sleep(0.2)
                email = f"{secrets.token_hex(8)}@example.com"
                async with self.session.post(url, json={**body, "email": email}) as answer:
                    status = answer.status

    # --- the books ---

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return rows(self.installation, statement, *values)

    def state(self, transaction_id: str) -> str:
        ((state,),) = self.rows("SELECT state FROM {ledger}.transactions WHERE id = %s", transaction_id)
        return str(state)

    def transactions_of(self, who: Customer) -> int:
        ((count,),) = self.rows("SELECT COUNT(*) FROM {ledger}.transactions WHERE user_id = %s", who.user_id)
        return int(count)

    def path(self, transaction_id: str) -> list[str]:
        """States that it went through, one after the other."""
        found = self.rows(
            "SELECT to_state FROM {ledger}.transaction_events WHERE transaction_id = %s ORDER BY seq", transaction_id
        )
        return [state for state, _ in itertools.groupby(str(state) for (state,) in found)]

    def paid_by(self, transaction_id: str) -> str:
        """What the payment of a deposit was believed for: its callback, a query, or the list of payments."""
        ((source,),) = self.rows(
            "SELECT JSON_VALUE(data, '$.source') FROM {ledger}.transaction_events"
            " WHERE transaction_id = %s AND event = 'MpesaPaid' AND to_state = 'PAID'",
            transaction_id,
        )
        return str(source)

    async def receipt_credited(self, who: Customer, transaction_id: str) -> bool:
        """Whether a deposit was paid under the receipt of its one payment, which a query does not know."""
        (payment,) = (await self.told(who)).payments
        return bool(
            self.rows(
                "SELECT 1 FROM {ledger}.transaction_events WHERE transaction_id = %s AND event = 'MpesaPaid'"
                " AND to_state = 'PAID' AND JSON_VALUE(data, '$.receipt') = %s",
                transaction_id,
                payment["receipt"],
            )
        )

    def postings(self, transaction_id: str) -> list[str]:
        """Keys of what was booked, in order."""
        found = self.rows(
            "SELECT posting_key FROM {ledger}.postings WHERE transaction_id = %s ORDER BY id", transaction_id
        )
        return [str(key) for (key,) in found]

    def reviews(self, transaction_id: str) -> list[str]:
        """Kinds of open questions."""
        found = self.rows(
            "SELECT kind FROM {ledger}.review_items WHERE transaction_id = %s AND closed_at IS NULL ORDER BY id",
            transaction_id,
        )
        return [str(kind) for (kind,) in found]


async def _reply(answer: aiohttp.ClientResponse) -> Reply:
    raw = await answer.read()
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    return Reply(answer.status, body, raw, dict(answer.headers))


def random_token() -> str:
    """What a stranger may guess for a callback's address."""
    return secrets.token_hex(35)
