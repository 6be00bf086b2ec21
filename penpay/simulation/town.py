"""What the people of a world do, and what befalls its machines, from the seed's plan."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from actors.base import State
from actors.runtime.envelope import Broken
from penpay.domain.fx import Direction
from penpay.domain.money import Money, kes, usd
from penpay.domain.unit import UnitOfWork, UserStatusChange
from penpay.messages import CommitUnit, ForgetUser, ledger_of, user_of
from penpay.simulation.mail import ForcedCrash
from penpay.simulation.people import Person, Told
from penpay.simulation.scale import scaled

if TYPE_CHECKING:
    from penpay.simulation.world import World

TRANSACTIONS_MAX = 4
SPREAD_S = 30.0
"""Within this everybody begins."""
TRIES_MAX = 8
MUCH = kes(11_500_000)
"""Two of them a day are allowed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One transaction that somebody wants."""

    who: Person
    direction: Direction
    amount: Money
    begins_s: float
    key: str
    quoted: bool


class Town:
    """People and accidents."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._dice = world.dice_of("town")
        self._busy = 0
        self.accepted: dict[str, str] = {}
        """Key → transaction, of everything that was answered with 202."""

    @property
    def quiet(self) -> bool:
        """Nobody wants anything any more."""
        return self._busy == 0

    def goes_on(self, seconds: float) -> None:
        """The storm is not over before then."""
        self._begin(asyncio.sleep(seconds), "goes on")

    def live(self) -> None:
        """Everything that will happen is planned now; when it happens depends on the answers."""
        if self._world.seed.only is not None:
            self._one(self._world.seed.only)
            return
        dice, world = self._dice, self._world
        people = [world.settle(number) for number in range(1, dice.choice((2, 2, 3)))]
        same = world.odds.hits("customer.same_amount")
        amount = dice.choice((65_000, 130_000, 400_000, 1_300_000))
        for number in range(dice.choice((1, 2, 2, 3, TRANSACTIONS_MAX))):
            direction = Direction.DEPOSIT if dice.random() < 0.55 else Direction.WITHDRAWAL
            minor = amount if same else amount + 100 * dice.randrange(0, 500)
            money = kes(minor) if direction is Direction.DEPOSIT else usd(max(500, minor // 100))
            wish = Wish(
                dice.choice(people), direction, money, SPREAD_S * dice.random(), f"key-{number}", dice.random() < 0.3
            )
            self._begin(self._want(wish), f"wish {number}")
        if world.odds.hits("customer.spends_much"):
            for number in range(TRANSACTIONS_MAX):
                begins_s = SPREAD_S * (number + 0.5 * world.payers.dice.random()) / TRANSACTIONS_MAX
                wish = Wish(people[0], Direction.DEPOSIT, MUCH, begins_s, f"much-{number}", quoted=False)
                self._begin(self._want(wish), f"much {number}")
        if world.odds.hits("customer.is_frozen"):
            self._begin(self._freeze(dice.choice(people)), "freeze")
        self._accidents()

    def _one(self, direction: Direction) -> None:
        """One transaction, and nothing else."""
        amount = kes(130_000) if direction is Direction.DEPOSIT else usd(2_000)
        wish = Wish(self._world.settle(1), direction, amount, 1.0, "key-0", quoted=False)
        self._begin(self._want(wish), "wish 0")

    def _begin(self, life: Awaitable[None], name: str) -> None:
        async def lived() -> None:
            try:
                await life
            finally:
                self._busy -= 1

        self._busy += 1
        self._world.loop.create_task(lived(), name=name)

    # --- customers ------------------------------------------------------------------------------------------------

    async def _want(self, wish: Wish) -> None:
        await asyncio.sleep(wish.begins_s)
        if wish.direction is Direction.DEPOSIT:
            await self._deposit(wish)
        else:
            await self._withdraw(wish)

    async def _deposit(self, wish: Wish) -> None:
        world, door = self._world, self._world.door
        quote_id = await door.quote(wish.who, wish.direction, wish.amount) if wish.quoted else ""
        amount = None if quote_id else wish.amount

        def ask() -> Awaitable[Told]:
            return door.deposit(wish.who, wish.key, amount, quote_id)

        told = await self._clicked(wish, ask)
        if world.odds.hits("customer.second_key"):
            again = f"{wish.key}-again"
            told_again = await door.deposit(wish.who, again, wish.amount)
            self._note(again, told_again)
        await self._cancel(wish, told)

    async def _withdraw(self, wish: Wish) -> None:
        world, door, who = self._world, self._world.door, wish.who
        mails = len(who.mail)
        if (await self._insist(lambda: door.code(who, wish.amount))).status != 202:
            return
        await asyncio.sleep(scaled(20.0))
        if len(who.mail) == mails:
            return
        code = "0123456789" if world.odds.hits("customer.wrong_code") else who.mail[-1]
        told = await self._clicked(wish, lambda: door.withdraw(who, wish.key, wish.amount, code))
        await self._cancel(wish, told)

    async def _clicked(self, wish: Wish, ask: Callable[[], Awaitable[Told]]) -> Told:
        """Once, or twice at once; a customer who hears nothing asks again, with the same key."""
        if self._world.odds.hits("customer.double_click"):
            told, other = await asyncio.gather(self._insist(ask), self._insist(ask))
            self._note(wish.key, other)
        else:
            told = await self._insist(ask)
        self._note(wish.key, told)
        return told

    async def _insist(self, ask: Callable[[], Awaitable[Told]]) -> Told:
        told = await ask()
        for _ in range(TRIES_MAX):
            if told.status not in {0, 503}:
                break
            await asyncio.sleep(0.3 + 3.0 * self._dice.random())
            told = await ask()
        return told

    async def _cancel(self, wish: Wish, told: Told) -> None:
        if told.status == 202 and self._world.odds.hits("customer.cancels"):
            await asyncio.sleep(self._dice.choice((0.0, 0.01, 0.05, 1.0)))
            await self._world.door.cancel(wish.who, self.accepted[wish.key])

    def _note(self, key: str, told: Told) -> None:
        self._world.tell(f"customer: {key} → {told.status}")
        if told.status == 202:
            self.accepted[key] = str(orjson.loads(told.body)["id"])

    # --- staff ----------------------------------------------------------------------------------------------------

    async def _freeze(self, who: Person) -> None:
        """Compliance freezes somebody in the middle of everything, and may let go later."""
        await asyncio.sleep(SPREAD_S * self._dice.random())
        await self._status(who, "FROZEN")
        await asyncio.sleep(scaled(600.0))
        if self._dice.random() < 0.5:
            await self._status(who, "ACTIVE")

    async def _status(self, who: Person, status: str) -> None:
        world = self._world
        unit = UnitOfWork(
            unit_id=f"user:{who.user_id}:{status}",
            shard=who.shard,
            at=world.clock.now(),
            user_id=who.user_id,
            user_status=UserStatusChange(user_id=who.user_id, status=status, reason="a test of compliance"),
        )
        for _ in range(TRIES_MAX):
            if await world.door.ask(ledger_of(who.shard), CommitUnit(unit)) is not None:
                break
            await asyncio.sleep(1.0)
        await world.door.ask(user_of(who.shard, who.user_id), ForgetUser())
        world.tell(f"{who.user_id[-6:]} is {status}")

    # --- machines -------------------------------------------------------------------------------------------------

    def _accidents(self) -> None:
        odds, dice, world = self._world.odds, self._dice, self._world
        plans: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            "node.crash": self._crash,
            "node.pause": self._pause,
            "node.twin": self._twin,
            "actor.breaks": self._break,
            "database.restart": self._restart,
            "deriv.updating": self._update,
            "deriv.cuts_socket": self._cut,
        }
        for kind, accident in plans.items():
            for _ in range(dice.choice((1, 2, 3))):
                if odds.hits(kind):
                    world.loop.create_task(_later(2.0 * SPREAD_S * dice.random(), accident, dice), name=kind)

        if odds.hits("node.clock_jumps"):
            own = world.dice_of("clock that jumps")
            world.loop.create_task(_later(2.0 * SPREAD_S * own.random(), self._set_clock, own), name="node.clock_jumps")

    async def _set_clock(self, dice: random.Random) -> None:
        """A machine's clock is an hour ahead from now on, or some minutes behind.

        Not where customers are frozen: what was sent after a freeze is judged by that clock.
        """
        world, node = self._world, self._world.any_node()
        if node is not None and not world.odds.calm and not world.odds.knows("customer.is_frozen"):
            by_s = dice.choice((scaled(3600.0), -scaled(400.0)))
            world.tell(f"the clock of {node.name} jumps by {by_s} s")
            world.clocks[node.name] += by_s
            world.jumped_s = min(world.jumped_s, world.now_s())
            node.clock.jump(by_s)

    async def _crash(self, dice: random.Random) -> None:
        names = [name for name, node in self._world.nodes.items() if node is not None]
        if names and not self._world.odds.calm:
            self._world.crash(dice.choice(names))

    async def _pause(self, dice: random.Random) -> None:
        node = self._world.any_node()
        if node is not None and not self._world.odds.calm:
            await self._world.pause(node.name, dice.choice((1.0, 8.0, 20.0, 25.0, 40.0)))

    async def _break(self, dice: random.Random) -> None:
        """One actor of one node meets an exception that nobody expected; its supervisor decides."""
        node = self._world.any_node()
        if node is not None and not self._world.odds.calm:
            cells = node.tree.living()
            cell = dice.choice(cells) if cells else None
            if cell is not None and cell.state is State.RUNNING:
                self._world.tell(f"{node.name} {cell.address} breaks")
                cell.control(Broken(ForcedCrash(cell.address)))

    async def _twin(self, dice: random.Random) -> None:
        del dice
        if "b" not in self._world.nodes and not self._world.odds.calm:
            self._world.boot("b")

    async def _restart(self, dice: random.Random) -> None:
        if self._world.odds.calm:
            return
        self._world.tell("the database is gone")
        self._world.server.stop()
        await asyncio.sleep(dice.choice((0.1, 1.0, 10.0, 25.0)))
        self._world.tell("the database is back")
        self._world.server.start()

    async def _update(self, dice: random.Random) -> None:
        del dice
        if not self._world.odds.calm:
            self._world.deriv.update_site()

    async def _cut(self, dice: random.Random) -> None:
        del dice
        if not self._world.odds.calm:
            self._world.deriv.cut_one()


async def _later(delay_s: float, accident: Callable[[random.Random], Awaitable[None]], dice: random.Random) -> None:
    await asyncio.sleep(delay_s)
    await accident(dice)
