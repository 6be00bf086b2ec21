"""People who insist: what is answered 503, or not at all, is asked again with its key, at whichever node answers."""

import asyncio
import itertools
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from penpay.chaos.plan import Turn
from penpay.client import JSON, ApiProblem, Client
from penpay.demo.play import FINAL, PIN, Stage, device_of, sign_up
from penpay.demo.rails import SandboxControl

_UNAVAILABLE = frozenset({502, 503})
_BUSY = frozenset({"request_in_progress", "rate_limited"})
_OVER = FINAL - {"IN_REVIEW"}
_CODES_MAX = 20
_LOOK_S = 0.3
_PAUSE_S = 0.1


class NotServed(Exception):
    """Somebody insisted for longer than a person would."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One transaction as its customer saw it."""

    turn: Turn
    id: str
    status: str


@dataclass(slots=True)
class Person:
    """A customer with an account of their own, known to every node."""

    number: int
    clients: Sequence[Client]
    control: SandboxControl
    patience_s: float
    email: str = ""
    loginid: str = ""
    accepted: list[str] = field(default_factory=list)
    """Every transaction that was answered 202."""
    ended: list[Ended] = field(default_factory=list)
    held: int = 0
    """Turns that could not begin while an earlier withdrawal waited for a person."""
    gave_up: str = ""
    """Why they left before their turns were over."""
    code: str = ""
    """Mailed, and not yet used."""

    @property
    def msisdn(self) -> str:
        """Their phone."""
        return f"2547{self.number:08d}"

    async def sign_up(self, public_url: str, session: aiohttp.ClientSession) -> None:
        """Register at one node; the session counts at all of them."""
        first, *others = self.clients
        stage = Stage(public_url, session, self.control, self.patience_s)
        person = await sign_up(stage, first, self.msisdn, self.number, balance="100000.00")
        await first.set_pin(PIN, password=person.password)
        login = await first.login(email=person.email, password=person.password, device_id=device_of(self.number))
        for client in others:
            client.carry(str(login["access_token"]))
        self.email, self.loginid = person.email, person.loginid

    async def walk(self, turns: Sequence[Turn], *, stopped: Callable[[], bool], changed: Callable[[], None]) -> None:
        """One transaction after the other, until they are done, it is time to stop, or their patience is over."""
        try:
            await self._walk(turns, stopped, changed)
        except NotServed as error:
            self.gave_up = str(error)

    async def ask(self, turn: Turn) -> str:
        """Tell the rails what to make of it, and insist until it is taken: the transaction's id."""
        await self._script(turn)
        return await (self._deposit(turn) if turn.direction == "deposit" else self._withdraw(turn))

    async def fetch_code(self, turn: Turn) -> None:
        """Have one mailed for this withdrawal, and read it."""
        await self._insist(lambda client: client.withdrawal_code(turn.amount))
        self.code = await self.control.newest_code(self.email)

    async def _walk(self, turns: Sequence[Turn], stopped: Callable[[], bool], changed: Callable[[], None]) -> None:
        for turn in turns:
            if stopped():
                return
            try:
                id_ = await self.ask(turn)
            except ApiProblem as problem:
                # Whoever has a withdrawal before a person may not begin another one.
                if problem.code != "withdrawal_open" or not await self._is_withdrawing():
                    raise
                self.held += 1
                continue
            self.accepted.append(id_)
            changed()
            self.ended.append(Ended(turn, id_, await self._end(id_)))
            changed()

    async def _script(self, turn: Turn) -> None:
        await self.control.script_phone(self.msisdn, turn.phone)
        await self.control.script_transfer(self.loginid, turn.transfer)
        await self.control.script_debit(turn.amount, turn.debit)
        await self.control.script_payout(self.msisdn, turn.payout)

    async def _deposit(self, turn: Turn) -> str:
        key = secrets.token_hex(8)
        return str((await self._insist(lambda client: client.deposit(turn.amount, "KES", key=key)))["id"])

    async def _withdraw(self, turn: Turn) -> str:
        for _ in range(_CODES_MAX):
            if not self.code:
                await self.fetch_code(turn)
            code, self.code = self.code, ""
            try:
                return await self._ask_withdrawal(turn.amount, code, secrets.token_hex(8))
            except ApiProblem as problem:
                # A code was asked for twice, and the other one is the newest now.
                if "code" not in problem.code:
                    raise
        raise NotServed(f"{self.email}: none of {_CODES_MAX} codes was taken")

    async def _ask_withdrawal(self, amount: str, code: str, key: str) -> str:
        answer = await self._insist(lambda client: client.withdraw(amount, code=code, pin=PIN, key=key))
        return str(answer["id"])

    async def _is_withdrawing(self) -> bool:
        """Whether one that seemed to be over is not: in review, or reopened by evidence that came late."""
        for one in self.ended:
            if one.turn.direction == "withdrawal":
                now = await self._insist(lambda client, id_=one.id: client.transaction(id_))  # type: ignore[misc]
                if now["status"] not in _OVER:
                    return True
        return False

    async def _end(self, id_: str) -> str:
        while True:
            status = str((await self._insist(lambda client: client.transaction(id_)))["status"])
            if status in FINAL:
                return status
            await asyncio.sleep(_LOOK_S)

    async def _insist(self, ask: Callable[[Client], Awaitable[JSON]]) -> JSON:
        said: Counter[str] = Counter()
        deadline_s = time.monotonic() + self.patience_s
        for client in itertools.cycle(self.clients):
            if time.monotonic() > deadline_s:
                break
            try:
                return await ask(client)
            except (aiohttp.ClientError, TimeoutError) as error:
                said[repr(error)] += 1
            except ApiProblem as problem:
                said[str(problem)] += 1
                if problem.status not in _UNAVAILABLE and problem.code not in _BUSY:
                    raise
            await asyncio.sleep(_PAUSE_S)
        raise NotServed(f"{self.email} was not served within {self.patience_s:.0f} s: {dict(said.most_common())}")
