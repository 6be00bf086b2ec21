"""One simulated world: its providers, its database, its nodes and its people, from one seed, from storm to verdict."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any

from actors.base import ActorCrashed
from penpay.domain.fx import Direction
from penpay.messages_rails import DARAJA_GATE, ResumePayouts
from penpay.ports import Addresses
from penpay.simulation.belated import BROKEN_WORD
from penpay.simulation.books.watch import Watch
from penpay.simulation.clock import DiceUlids, PlainSealer, WorldClock
from penpay.simulation.deriv import Deriv
from penpay.simulation.door import Door
from penpay.simulation.feeds import SimAnchors, SimStreams
from penpay.simulation.lookout import Lookout
from penpay.simulation.loop import NodeLoop, Universe
from penpay.simulation.mail import Mail
from penpay.simulation.mpesa import Mpesa
from penpay.simulation.node import SimNode, tokens_of
from penpay.simulation.odds import Odds
from penpay.simulation.parking import Parking
from penpay.simulation.people import Payers, Person, person
from penpay.simulation.post import Post
from penpay.simulation.scale import AGENT, AGENT_TOKEN
from penpay.simulation.store.server import MemoryServer
from penpay.simulation.town import Town
from penpay.simulation.truth import Account, Truth
from penpay.simulation.twists import NONE, Twists
from penpay.simulation.weather import SeededWeather

STEPS_MAX = 150_000
"""Ten times what the busiest worlds need: whoever takes more runs in circles."""
ALERT_S = 60.0
"""How long it takes until somebody on call has looked at the credential of our initiator."""
STOOD_STILL_S = 65.0
"""Longer than a lease, a settle window, the longest step of the ladder of reads, and two reads."""
CLOCK_ERROR_S = 0.9
"""The most by which a machine's clock is wrong: what is compared between clocks allows for a second."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What a world is made of besides its number.

    `faults`: these at full intensity, instead of what the dice say. `also`: these besides;
    `always`: these whenever they can strike. `only`: nothing but one transaction, in this direction.
    """

    number: int
    faults: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    only: Direction | None = None
    twists: Twists = field(default=NONE, repr=False)
    storied: bool = False
    until_broken: bool = False
    """Whether the first broken promise is enough to know; then the rest of the world is not played."""


class World:
    """Everything there is. `now_s` of the universe is its time."""

    def __init__(self, seed: Seed) -> None:
        self.seed = seed
        self.universe = Universe(self.dice_of("order"), steps_max=STEPS_MAX)
        plan = self.dice_of("plan")
        self.twists = seed.twists
        self.odds = Odds(
            self.dice_of("faults"),
            self.dice_of("later faults"),
            self.dice_of,
            only=seed.faults,
            also=seed.also,
            always=seed.always,
        )
        # Where late credits are likely their withdrawals are to be in another shard than what nobody claims.
        self.shards = 2 if plan.random() < max(0.15, 6.0 * self.odds.known.get("deriv.credits_late", 0.0)) else 1
        self.loop = NodeLoop(self.universe, "world")
        self.clock = WorldClock(self.universe)
        self.ids = DiceUlids(self.clock, self.dice_of("ids"))
        self.sealer = PlainSealer()
        self.tokens = tokens_of(self.shards)
        self.server = MemoryServer(shards=self.shards, clock=self.clock)
        self.post = Post(self.loop, self.dice_of("post"))
        self.streams = SimStreams()
        self.anchors = SimAnchors()
        self.door = Door(self)
        self.people: list[Person] = []
        self.nodes: dict[str, SimNode | None] = {}
        self.story: list[tuple[float, str]] = []
        self.truth = Truth(paybill_minor=50_000_000, utility_minor=80_000_000)
        now_s = self.now_s
        self.payers = Payers(self.odds, self.dice_of("payers"))
        self.mpesa = Mpesa(self.truth, self.odds, self.post, self.payers, self.door.post, now_s=now_s, tell=self.tell)
        self.deriv = Deriv(self.truth, self.odds, self.post, self.dice_of("deriv"), now_s=now_s, tell=self.tell)
        self.deriv.mailed = self._mailed
        self.truth.accounts[AGENT] = Account(AGENT, AGENT_TOKEN, 5_000_000)
        self.clocks = {name: self._clock_error(name) for name in ("a", "b")}
        """By how many seconds each machine's clock is ahead of the database's."""
        self.jumped_s = inf
        """When the first of them jumped."""
        self.share_slow = plan.choice((0.0, 0.1, 0.3, 0.8))
        self.books = Watch(self.server)
        self.lookout = Lookout(self)
        self.mail = Mail(self)
        self.parking = Parking(self)
        self.town = Town(self)
        self.staff_done = True
        seed.twists.began(self)

    @property
    def over(self) -> bool:
        """At rest, or not worth another step."""
        return self.at_rest or self.given_up

    @property
    def given_up(self) -> bool:
        """Something is broken already, and nobody asks for more."""
        return self.seed.until_broken and bool(
            self.books.broken
            or self.truth.mistakes
            or self.mail.dropped
            or any(error is not None for _, error in self.universe.complaints)
        )

    @property
    def at_rest(self) -> bool:
        """Nothing is open, nothing is under way, no payment is unknown, and the streams are up to date."""
        looks, under_way = self.lookout, self.door.busy or len(self.post)
        awaited = self.deriv.belated.awaits(looks.is_credited)
        return looks.settled and not under_way and not awaited and looks.found and looks.relayed

    @property
    def staffed(self) -> bool:
        """Whether people answer questions: in some worlds, and where Deriv broke its word."""
        return self.odds.knows("staff.resolves") or any(self.odds.reached[kind] for kind in BROKEN_WORD)

    def end(self) -> None:
        """Every process is gone; what is left of them may be collected."""
        for node in self.nodes.values():
            if node is not None:
                node.loop.kill()
        self.loop.kill()

    def now_s(self) -> float:
        """Virtual seconds since the world began."""
        return self.universe.now_s

    def dice_of(self, what: str) -> random.Random:
        """Dice of their own for each part: what one of them draws moves no other."""
        return random.Random(f"{self.seed.number}/{what}")  # noqa: S311 - a simulation's dice

    def tell(self, text: str) -> None:
        """A line of the story."""
        self.universe.note(text)
        if self.seed.storied:
            self.story.append((self.universe.now_s, text))

    def _clock_error(self, name: str) -> float:
        wrong = self.odds.hits("node.clock_is_wrong")
        return self.dice_of(f"clock of {name}").uniform(-CLOCK_ERROR_S, CLOCK_ERROR_S) if wrong else 0.0

    # --- people ---------------------------------------------------------------------------------------------------

    def settle(self, number: int) -> Person:
        """Somebody moves in: with a phone, and with a Deriv account that is linked."""
        found = person(number, self.ids.ulid(), self.shards)
        self.people.append(found)
        self.server.data_keys[found.user_id] = found.customer.data_key
        self.truth.accounts[found.loginid] = Account(found.loginid, found.token, 300_000)
        return found

    def _mailed(self, loginid: str, code: str) -> None:
        who = next(one for one in self.people if one.loginid == loginid)
        who.mail.append(code)

    # --- nodes ----------------------------------------------------------------------------------------------------

    def boot(self, name: str) -> SimNode:
        """Start a process."""
        node = SimNode(self, name, self._weather(name))
        self.nodes[name] = node
        self.tell(f"{name} boots")
        node.start()
        return node

    def _weather(self, name: str) -> SeededWeather:
        dice = self.dice_of(f"weather {name} {self.universe.steps}")
        return SeededWeather(
            self.odds,
            dice,
            lambda: self.crash(name),
            partial(self.pause, name),
            partial(self.succeed, name),
            share_slow=self.share_slow,
        )

    def crash(self, name: str) -> None:
        """`kill -9`, and somebody starts it again."""
        node = self.nodes.get(name)
        if node is None:
            return
        self.tell(f"{name} is killed")
        self.nodes[name] = None
        node.kill()
        self.door.broken(node)
        self.post.send(0.2 + 3.0 * self.payers.dice.random(), self._revive, name)

    async def pause(self, name: str, seconds: float) -> None:
        """A node stands still for a while; whoever calls from inside it goes on only then."""
        node = self.nodes.get(name)
        if node is None or node.loop.paused:
            return
        self.tell(f"{name} stands still")
        node.loop.pause()
        self.post.send(seconds, self._resume, node)
        await asyncio.sleep(0)

    async def succeed(self, name: str) -> None:
        """A node stands still until another one has its rails, and has proved that what it had begun never happened."""
        if "b" not in self.nodes:
            self.boot("b")
        self.town.goes_on(STOOD_STILL_S)
        await self.pause(name, STOOD_STILL_S)

    def _resume(self, node: SimNode) -> None:
        if node.loop.paused:
            self.tell(f"{node.name} goes on")
            node.loop.resume()

    def gave_up(self, node: SimNode) -> None:
        """Its root supervisor ended the process (70): whoever runs it starts it again."""
        self.odds.saw("node.gave_up")
        self.crash(node.name)

    def _revive(self, name: str) -> None:
        if self.nodes.get(name) is None:
            self.boot(name)

    def any_node(self) -> SimNode | None:
        """Whom the balancer picks: it does not know who stands still."""
        alive = [node for node in self.nodes.values() if node is not None]
        return self.payers.dice.choice(alive) if alive else None

    def heard(self, node: SimNode, registry: Addresses) -> Addresses:
        """A node's addresses, with an ear at them."""
        return Ears(self, node, registry)

    # --- healing --------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing strikes any more, everybody is up, and all that was delayed arrives."""
        self.tell("the world heals")
        self.odds.calm = True
        if not self.server.up:
            self.server.start()
        self.mpesa.stopped = ""
        self.post.flush()
        for node in self.nodes.values():
            if node is not None:
                node.loop.resume()
        self._answer_alerts()

    def _answer_alerts(self) -> None:
        """Whoever is on call has repaired the initiator; a late result may stop payouts and refunds again."""
        for node in filter(None, self.nodes.values()):
            node.loop.call_soon(node.house.addresses.tell, DARAJA_GATE, ResumePayouts())
        self.post.after(ALERT_S, self._answer_alerts)

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True when it is so before the time is over."""
        end_s = self.universe.now_s + seconds
        universe = self.universe
        self.loop.call_later(seconds, _nothing)
        universe.run(until=lambda: universe.now_s >= end_s or until())
        return until()


class Ears:
    """`Addresses` that leave a trace of who was told what."""

    __slots__ = ("_node", "_registry", "_world")

    def __init__(self, world: World, node: SimNode, registry: Addresses) -> None:
        self._world = world
        self._node = node
        self._registry = registry

    def tell(self, address: str, message: object) -> None:
        """See `Addresses`."""
        self._world.parking.is_told(self._node, message)
        self._hear(address, message)
        self._registry.tell(address, message)

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any:
        """See `Addresses`."""
        self._hear(address, message)
        try:
            return await self._registry.ask(address, message, timeout_s=timeout_s)
        except ActorCrashed as error:
            self._world.mail.ask_failed(address, message, error)
            raise

    def _hear(self, address: str, message: object) -> None:
        self._world.universe.note(address + type(message).__name__)
        if self._world.seed.storied:
            self._world.lookout.overhear(self._node.name, address, message)
        self._world.mail.is_sent(self._node, address)


def _nothing() -> None:
    pass
