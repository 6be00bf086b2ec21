"""Two hundred people who ask at once, most to pay in, the others to withdraw, and the operator of a node.

People insist: whatever is answered 503, or not at all, is asked again with its key.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from penpay.bench.seed import Customer
from penpay.chaos.people import Person
from penpay.chaos.plan import Turn, turn_of
from penpay.client import Client
from penpay.demo.rails import SandboxControl
from penpay.stack import NodeProcess

PATIENCE_S = 60.0
BALANCE_MINOR = 100_000
LATE = 5
"""One in so many asks late."""
Asking = tuple[Person, Turn]
WITHDRAWING = (1, 4, 7)
"""Of every ten these withdraw; the next round others do, for whoever waits for a person may not begin again."""
ODD_DEPOSITS: Mapping[int, str] = {
    **dict.fromkeys((3, 13), "cancelled on the phone"),
    6: "callback lost",
    9: "credit refused",
}
"""What becomes of some in twenty; the others pay."""
SECOND_LOOK: Mapping[int, str] = {
    **dict.fromkeys(range(4), "payout refused"),
    **dict.fromkeys(range(4, 7), "result lost"),
}
"""By place. Such a withdrawal ends long after its payout, for Safaricom is asked; so these go first, without delay.

A refusal that nobody hears waits a minute for a person: most shall be heard before anything breaks.
"""
ODD_WITHDRAWALS: Mapping[int, str] = {
    **SECOND_LOOK,
    **dict.fromkeys((10, 25, 40, 55), "payout taken, reply lost"),
    **dict.fromkeys((15, 30, 45), "debited, line cut"),
    **dict.fromkeys((20, 35, 50), "timed out, then paid"),
}
"""By place; the others are paid out."""


@dataclass(slots=True)
class Crowd:
    """Everybody asks for one thing per round. Amounts differ within a round, so that no two transfers look alike."""

    customers: Sequence[Customer]
    nodes: Sequence[NodeProcess]
    """Those of the installation, also the ones that it gets later."""
    session: aiohttp.ClientSession
    control: SandboxControl
    withdrawing: Sequence[Asking] = field(default=(), init=False)
    depositing: Sequence[Asking] = field(default=(), init=False)
    late: Sequence[Asking] = field(default=(), init=False)
    """Of both: these shall ask while things are broken."""

    async def begin(self, number: int, *, held: Collection[str] = ()) -> None:
        """The round of this number: who will ask for what. Users who are `held` do not withdraw."""
        await self.control.post("/daraja/script", {"clear": True, "knobs": {"push_interval_s": 0.0}})
        await self.control.post("/deriv/script", {"clear": True, "knobs": {"auto_balance_minor": BALANCE_MINOR}})
        withdrawing, depositing = list[Asking](), list[Asking]()
        for place, customer in enumerate(self.customers):
            if (place + number) % 10 in WITHDRAWING and customer.user_id not in held:
                withdrawing.append((self._person(customer), _withdrawal(number, len(withdrawing))))
            else:
                depositing.append((self._person(customer), _deposit(number, len(depositing))))
        some, others = len(withdrawing) // LATE, len(depositing) // LATE
        self.withdrawing, self.depositing = withdrawing[:-some], depositing[:-others]
        self.late = [*withdrawing[-some:], *depositing[-others:]]

    async def fetch_codes(self, withdrawing: Sequence[Asking]) -> None:
        """Some have their codes mailed before they ask."""
        await asyncio.gather(*(person.fetch_code(turn) for person, turn in withdrawing))

    async def ask(self, asking: Sequence[Asking]) -> list[str]:
        """Some ask at once; the ids in their order."""
        return await asyncio.gather(*(person.ask(turn) for person, turn in asking))

    def client(self, node: NodeProcess, customer: Customer) -> Client:
        """One of them at one node."""
        client = Client(node.public_url, self.session)
        client.carry(customer.token)
        return client

    def _person(self, customer: Customer) -> Person:
        clients = [self.client(node, customer) for node in self.nodes]
        person = Person(customer.number, clients, self.control, PATIENCE_S)
        person.email, person.loginid = customer.email, customer.loginid
        return person


def _deposit(number: int, place: int) -> Turn:
    """Payers take one to three seconds."""
    turn = turn_of("deposit", (1000 + 300 * number + place) * 100, ODD_DEPOSITS.get(place % 20, "paid"))
    return replace(turn, phone={"answer_delay_s": 1.0 + _think_s(place), **turn.phone})


def _withdrawal(number: int, place: int) -> Turn:
    """Safaricom takes three to five."""
    turn = turn_of("withdrawal", 500 + 100 * number + place, ODD_WITHDRAWALS.get(place, "paid out"))
    delay_s = 0.0 if place in SECOND_LOOK else 3.0 + _think_s(place)
    return replace(turn, payout={"delay_s": delay_s, **turn.payout})


def _think_s(place: int) -> float:
    return (place * 7 % 20) / 10


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at a node's internal listener."""

    node: NodeProcess
    token: str
    session: aiohttp.ClientSession

    async def tree(self) -> Mapping[str, Any]:
        """The whole tree."""
        async with self._call("GET", "/ops/tree") as answer:
            assert answer.status == 200, await answer.text()
            found: Mapping[str, Any] = await answer.json()
            return found

    async def members(self) -> dict[str, Mapping[str, Any]]:
        """Everybody by path, entities left out: they come and go."""
        found: dict[str, Mapping[str, Any]] = {}
        waiting = [await self.tree()]
        while waiting:
            member = waiting.pop()
            found[member["path"]] = member
            if not member["path"].endswith(("/users", "/sagas")):
                waiting += member["children"]
        return found

    async def restart(self, path: str) -> int:
        """The status of a restart by path."""
        async with self._call("POST", f"/ops/tree/{path}/restart") as answer:
            return answer.status

    async def decide(self, user_id: str, act: str, **said: str) -> int:
        """The status of a decision about a customer; a body that names people who are allowed to decide."""
        people = {"by": "Achieng Otieno", "second": "Brian Kamau", **said}
        url = f"{self.node.internal_url}/admin/v1/users/{user_id}/{act}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.post(url, json=people, headers=headers) as answer:
            return answer.status

    async def drain(self) -> None:
        """Tell the node to leave."""
        async with self._call("POST", "/ops/drain") as answer:
            assert answer.status == 202

    async def ready(self) -> Mapping[str, Any]:
        """What `/readyz` says; empty when nobody answers."""
        try:
            async with self._call("GET", "/readyz") as answer:
                found: Mapping[str, Any] = await answer.json()
                return found
        except aiohttp.ClientError:
            return {}

    async def until_ready(self, *, within_s: float, ready: bool = True) -> None:
        """Wait until the node says so."""
        deadline = time.monotonic() + within_s
        while (said := await self.ready()).get("ready") is not ready:
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.05)

    def _call(self, method: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = aiohttp.ClientTimeout(total=120)
        return self.session.request(method, self.node.internal_url + path, headers=headers, timeout=timeout)
