"""Many deposits at once, by people who insist: whatever is answered 503, or not at all, is asked again with its key."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from penpay.bench.seed import Customer
from penpay.demo.rails import SandboxControl
from penpay.stack import NodeProcess


@dataclass(slots=True)
class Crowd:
    """`people` deposit once each per round. Amounts differ within a round, so that no two transfers look alike."""

    people: Sequence[Customer]
    session: aiohttp.ClientSession
    control: SandboxControl

    async def script(self, *, base_kes: int) -> None:
        """One in ten cancels, one in twenty has its transfer refused for good, one in twenty loses its callback."""
        by_amount: dict[str, Mapping[str, Any]] = {}
        for place, _ in enumerate(self.people):
            step: dict[str, Any] = {"answer_delay_s": 1.0 + (place * 7 % 20) / 10}
            if place % 10 == 3:
                step["outcome"] = "1032"
            if place % 20 == 6:
                step["callback"] = "lost"
            by_amount[str(base_kes + place)] = step
        refused = [
            {
                "op": "paymentagent_transfer",
                "match": {"transfer_to": person.loginid},
                "times": 0,
                "fault": "refuse",
            }
            for place, person in enumerate(self.people)
            if place % 20 == 9
        ]
        await self.control.post(
            "/daraja/script", {"clear": True, "knobs": {"push_interval_s": 0.0}, "stk_by_amount": by_amount}
        )
        await self.control.post("/deriv/script", {"clear": True, "steps": refused})

    async def deposit(
        self, node: Callable[[], NodeProcess], who: slice, *, base_kes: int, within_s: float = 60.0
    ) -> list[str]:
        """All of `who` ask at once, each the node of the moment; the ids in the order of the people."""
        deadline_s = time.monotonic() + within_s
        some = list(enumerate(self.people))[who]
        return await asyncio.gather(
            *(self._insist(node, person, base_kes + place, deadline_s) for place, person in some)
        )

    async def _insist(self, node: Callable[[], NodeProcess], person: Customer, kes: int, deadline_s: float) -> str:
        key = secrets.token_hex(8)
        said = ""
        while time.monotonic() < deadline_s:
            try:
                status, answer = await self.ask(node(), person, kes, key)
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            else:
                if status == 202:
                    return str(answer["id"])
                said = f"{status} {answer.get('code')}"
                assert status == 503 or answer.get("code") == "request_in_progress", said
            await asyncio.sleep(0.2)
        raise AssertionError(f"not taken in time, at last: {said}")

    async def ask(self, node: NodeProcess, person: Customer, kes: int, key: str) -> tuple[int, Mapping[str, Any]]:
        """One POST; status and body."""
        headers = {"Authorization": f"Bearer {person.token}", "Idempotency-Key": key}
        body = {"amount": {"amount": f"{kes}.00", "currency": "KES"}}
        url = f"{node.public_url}/api/v1/deposits"
        async with self.session.post(url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


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
