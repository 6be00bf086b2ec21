"""What the public edge does around an ask, without its sockets: requests of people, and posts of providers.

A request runs on a node's own loop and dies with it; whoever sent it sees a broken connection then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from actors.base import ActorCrashed, AskTimeout
from penpay.domain.answers import ROUTE_DEPOSITS, ROUTE_WITHDRAWALS, answer_aad, comparable, key_hash_of
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.fx import Direction
from penpay.domain.money import Money
from penpay.domain.mpesa_callbacks import PATHS
from penpay.http.callbacks import dedupe_key_of
from penpay.messages import (
    AcceptDeposit,
    AcceptWithdrawal,
    CancelTransaction,
    CreateQuote,
    HttpAnswer,
    InboxBell,
    InboxRow,
    Quote,
    RequestWithdrawalCode,
    inbox_of,
    saga_of,
    user_of,
)
from penpay.simulation.mail import ForcedCrash
from penpay.simulation.people import Person, Told

if TYPE_CHECKING:
    from penpay.simulation.node import SimNode
    from penpay.simulation.world import World

LOST = (AskTimeout, ActorCrashed, OutcomeUnknown, TimeoutError)
"""What an ask may raise although the message may have been executed; as in `penpay.app.listeners`."""
RAIL_SHARD = 0xFFFF
BROKEN = Told(0, b"")
AWAY = Told(503, b"")


@dataclass(frozen=True, slots=True, eq=False)
class Callback:
    """One post of a provider: whoever does not take it has missed it."""

    url: str
    body: bytes
    genuine: bool


class Door:
    """The way in, over whichever node the balancer picks."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._open: dict[asyncio.Future[Any], SimNode] = {}
        self._taking: dict[Callback, SimNode] = {}
        """Callbacks that a node has in its hands, and has not stored yet."""

    @property
    def busy(self) -> bool:
        """Somebody waits for an answer."""
        return bool(self._open or self._taking)

    # --- people -------------------------------------------------------------------------------------------------

    async def quote(self, who: Person, direction: Direction, amount: Money) -> str:
        """Id of a quote, or nothing."""

        async def serve(node: "SimNode") -> Told:
            command = CreateQuote(customer=who.customer, direction=direction, amount=amount)
            made = await node.house.addresses.ask(user_of(who.shard, who.user_id), command, timeout_s=8.0)
            return Told(201, made.id.encode()) if isinstance(made, Quote) else Told(422, b"")

        told = await self._request(serve)
        return told.body.decode() if told.status == 201 else ""

    async def deposit(self, who: Person, key: str, amount: Money | None, quote_id: str = "") -> Told:
        """`POST /deposits`."""
        command = AcceptDeposit(
            customer=who.customer,
            route=ROUTE_DEPOSITS,
            key_hash=key_hash_of(key),
            fingerprint=self._fingerprint(amount, quote_id),
            quote_id=quote_id,
            amount=amount,
            phone="",
            request_id="",
        )
        return await self._remembered(who, key, lambda node: self._ask(node, who, command))

    async def withdraw(self, who: Person, key: str, amount: Money, code: str) -> Told:
        """`POST /withdrawals`, with the right PIN: a wrong one never reaches an actor."""
        command = AcceptWithdrawal(
            customer=who.customer,
            route=ROUTE_WITHDRAWALS,
            key_hash=key_hash_of(key),
            fingerprint=self._fingerprint(amount, ""),
            quote_id="",
            amount=amount,
            verification_code=code,
            deriv_token=who.token,
        )

        async def serve(node: "SimNode") -> Told:
            return await self._replay(node, who, command) or await self._ask(node, who, command)

        return await self._remembered(who, key, serve)

    async def code(self, who: Person, amount: Money) -> Told:
        """`POST /withdrawals/code`."""
        command = RequestWithdrawalCode(
            customer=who.customer, quote_id="", amount=amount, deriv_token=who.token, email="somebody@example.com"
        )

        async def serve(node: "SimNode") -> Told:
            try:
                return _told(await _asked(node, who, command))
            except LOST:
                return AWAY

        return await self._request(serve)

    async def cancel(self, who: Person, transaction_id: str) -> Told:
        """`POST /transactions/{id}/cancel`."""

        async def serve(node: "SimNode") -> Told:
            to = saga_of(who.shard, transaction_id)
            await node.house.addresses.ask(to, CancelTransaction(who.user_id), timeout_s=8.0)
            return Told(200, b"")

        return await self._request(serve)

    async def ask(self, address: str, message: object) -> Any:
        """Staff, to whatever node answers; None when none does."""

        async def serve(node: "SimNode") -> Any:
            return await node.house.addresses.ask(address, message, timeout_s=8.0)

        answer = await self._any_request(serve)
        return None if isinstance(answer, Told) else answer

    # --- providers ----------------------------------------------------------------------------------------------------

    def post(self, url: str, body: bytes, *, genuine: bool) -> None:
        """A callback. Whoever does not take it has missed it: Safaricom does not come again."""
        node, callback = self._world.any_node(), Callback(url, body, genuine)
        if node is None:
            self._world.odds.saw("callback.nobody_home")
        else:
            self._taking[callback] = node
            node.loop.create_task(self._take(node, callback), name="callback")

    async def _take(self, node: "SimNode", callback: "Callback") -> None:
        try:
            await self._receive(node, callback)
        except Unavailable:
            self._world.odds.saw("callback.not_stored")
        del self._taking[callback]

    async def _receive(self, node: "SimNode", callback: "Callback") -> None:
        """As `penpay.http.callbacks`."""
        outside = node.outside
        letter, _, token = callback.url.partition("/cb/")[2].partition("/")
        known = outside.tokens.verify(PATHS[letter], token)
        if known is None:
            self._world.odds.saw("callback.wrong_token")
            return
        shard, operation_id = known
        row = InboxRow(
            id=outside.ids.ulid(),
            shard=shard,
            kind=PATHS[letter],
            operation_id=operation_id,
            body=callback.body,
            trusted_source=callback.genuine,
            received_at=outside.clock.now(),
        )
        new = await outside.stores.inbox.add(row, dedupe_key=dedupe_key_of(row), source="")
        if new and row.shard != RAIL_SHARD:
            _ring(node, row)

    # --- between them ---------------------------------------------------------------------------------------------

    def broken(self, node: "SimNode") -> None:
        """A node died: its open requests end without an answer."""
        for reply, server in list(self._open.items()):
            if server is node:
                del self._open[reply]
                reply.set_result(BROKEN)
        for callback in [one for one, taker in self._taking.items() if taker is node]:
            del self._taking[callback]

    async def _remembered(self, who: Person, key: str, serve: Callable[["SimNode"], Awaitable[Told]]) -> Told:
        told = await self._request(serve)
        who.heard.setdefault(key, []).append(told)
        return told

    async def _request(self, serve: Callable[["SimNode"], Awaitable[Told]]) -> Told:
        told = await self._any_request(serve)
        assert isinstance(told, Told)
        return told

    async def _any_request(self, serve: Callable[["SimNode"], Awaitable[Any]]) -> Any:
        node = self._world.any_node()
        if node is None:
            return BROKEN
        reply = asyncio.get_running_loop().create_future()
        self._open[reply] = node
        node.loop.create_task(self._served(node, serve, reply), name="request")
        return await reply

    async def _served(
        self, node: "SimNode", serve: Callable[["SimNode"], Awaitable[Any]], reply: "asyncio.Future[Any]"
    ) -> None:
        try:
            told = await serve(node) if node.gate.open else AWAY
        except Unavailable:
            told = AWAY
        except LOST:
            told = AWAY
        except ForcedCrash:
            told = BROKEN  # of the actor that was asked: only its own host is to hear of it
        if self._open.pop(reply, None) is not None:
            reply.set_result(told)

    async def _ask(self, node: "SimNode", who: Person, command: AcceptDeposit | AcceptWithdrawal) -> Told:
        try:
            return _told(await _asked(node, who, command))
        except LOST:
            return await self._replay(node, who, command) or AWAY

    @staticmethod
    async def _replay(node: "SimNode", who: Person, command: AcceptDeposit | AcceptWithdrawal) -> Told | None:
        """As `penpay.http.idempotent`."""
        stored = await node.outside.stores.users.answer(who.user_id, command.route, command.key_hash)
        if stored is None:
            return None
        if stored.fingerprint != command.fingerprint:
            return Told(422, b"idempotency_key_reused")
        aad = answer_aad(command.route, command.key_hash)
        data_key = who.customer.data_key
        body = node.outside.sealer.open(stored.sealed_body, aad=aad, user_id=who.user_id, data_key=data_key)
        return Told(stored.status, body)

    def _fingerprint(self, amount: Money | None, quote_id: str) -> str:
        body = {"quote_id": quote_id} if quote_id or amount is None else {"amount": amount.text()}
        return sha256(comparable(body)).hexdigest()


def _ring(node: "SimNode", row: InboxRow) -> None:
    """Best effort: a sweep finds what no bell rang for."""
    try:
        node.house.addresses.tell(inbox_of(row.shard), InboxBell((row,)))
    except Unavailable:
        node.around.odds.saw("callback.no_bell")


async def _asked(node: "SimNode", who: Person, command: object) -> HttpAnswer:
    answer = await node.house.addresses.ask(user_of(who.shard, who.user_id), command, timeout_s=8.0)
    assert isinstance(answer, HttpAnswer)
    return answer


def _told(answer: HttpAnswer) -> Told:
    return Told(answer.status, answer.body)
