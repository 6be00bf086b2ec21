"""The mid rate and text messages, against the sandbox and scripted sources."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from actors.courier import CourierSettings
from actors.fx_feed import FxFeedActor, FxParts, FxSettings
from actors.sms import SmsActor
from penpay.adapters.fx import HttpFxSource, read_rate
from penpay.adapters.sms import AfricasTalking
from penpay.domain.board import Board
from penpay.domain.errors import Refused, Unavailable
from penpay.messages_rails import SendSms
from tests.rails.fakes import TurnableClock, inside, until


def body(**changes):
    parts = {"base": '"USD"', "rates": '{"KES":129.35}', "timestamp": "1732000000", **changes}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in parts.items()) + "}").encode()


def test_a_rate_is_read_digit_by_digit():
    assert read_rate(body()) == (Decimal("129.35"), datetime.fromtimestamp(1_732_000_000, UTC))
    assert read_rate(body(rates='{"KES":129}'))[0] == 129


@pytest.mark.parametrize(
    "changes",
    [
        {"base": '"EUR"'},
        {"rates": '{"KES":0}'},
        {"rates": '{"KES":-1.5}'},
        {"rates": '{"KES":NaN}'},
        {"rates": '{"KES":Infinity}'},
        {"rates": '{"KES":"129.35"}'},
        {"rates": '{"KES":null}'},
        {"rates": '{"KES":1e-9}'},
        {"rates": '{"KES":1e30}'},
        {"rates": '{"KES":true}'},
        {"rates": "{}"},
        {"timestamp": "0"},
        {"timestamp": '"now"'},
    ],
)
def test_an_absurd_rate_is_refused(changes):
    with pytest.raises(Refused):
        read_rate(body(**changes))


@pytest.mark.parametrize("garbage", [b"", b"[]", b"nonsense", b"{", b"\xff"])
def test_an_answer_of_another_shape_is_refused(garbage):
    with pytest.raises(Refused):
        read_rate(garbage)


@dataclass
class ScriptedSource:
    """Says what it is told to say."""

    clock: TurnableClock
    rate: str = "129.50"
    age_s: float = 0.0
    error: Exception | None = None

    async def mid(self):
        if self.error is not None:
            raise self.error
        return Decimal(self.rate), self.clock.now() - timedelta(seconds=self.age_s)


@dataclass
class Feed:
    clock: TurnableClock = field(default_factory=TurnableClock)
    board: Board = field(default_factory=Board)

    def __post_init__(self):
        self.first, self.second = ScriptedSource(self.clock), ScriptedSource(self.clock)

    @asynccontextmanager
    async def running(self, **settings):
        parts = FxParts(
            first=self.first,
            second=self.second,
            board=self.board,
            clock=self.clock,
            settings=FxSettings(poll_s=0.01, **settings),
        )
        ref = FxFeedActor.start(parts)
        await ref.ready()
        try:
            yield ref
        finally:
            await ref.shutdown(5)

    async def problem(self, text):
        await until(lambda: self.board.fx is not None and text in self.board.fx.problem)

    async def fine(self, mid_e6=129_500_000):
        await until(lambda: self.board.fx is not None and (self.board.fx.mid_e6, self.board.fx.problem) == (mid_e6, ""))


@pytest.fixture
def feed():
    return Feed()


async def test_two_agreeing_sources_make_a_rate(feed):
    feed.second.rate = "130.10"
    async with feed.running():
        await feed.fine()


async def test_sources_that_differ_by_more_than_two_percent_make_no_quotes(feed):
    feed.second.rate = "132.10"
    async with feed.running():
        await feed.problem("differ")
        feed.second.rate = "132.00"
        await feed.fine()


async def test_a_rate_grows_too_old_when_its_source_falls_silent(feed):
    async with feed.running():
        await feed.fine()
        feed.first.error = Unavailable("fx")
        feed.clock.turn(61)
        await feed.problem("source unavailable")


async def test_a_source_that_repeats_an_old_rate_is_too_old(feed):
    feed.first.age_s = 61
    async with feed.running():
        await feed.problem("too old")


async def test_a_silent_second_source_stops_quotes_after_the_same_age(feed):
    async with feed.running():
        await feed.fine()
        feed.second.error = Unavailable("fx")
        feed.clock.turn(61)
        await feed.problem("second source")


@pytest.mark.parametrize("rate", ["49.99", "500.01"])
async def test_a_rate_outside_its_bounds_is_no_rate(feed, rate):
    feed.first.rate = rate
    async with feed.running() as ref:
        await until(lambda: inside(ref)._refused)
        assert feed.board.fx is None


async def test_from_the_second_day_on_a_jump_of_more_than_ten_percent_is_refused(feed):
    async with feed.running() as ref:
        await feed.fine()
        feed.clock.turn(86_400)
        await until(lambda: inside(ref)._yesterday == Decimal("129.50"))
        feed.first.rate = feed.second.rate = "142.46"
        feed.clock.turn(61)
        await feed.problem("far from yesterday")
        feed.first.rate = feed.second.rate = "142.40"
        await feed.fine(142_400_000)


async def test_the_sandbox_rates_arrive(sandbox_rails, feed):
    env = sandbox_rails.env
    first, second = HttpFxSource(env["PENPAY_FX__URL"]), HttpFxSource(env["PENPAY_FX__SECOND_URL"])
    feed.first, feed.second = first, second
    async with feed.running():
        await until(lambda: feed.board.fx is not None and not feed.board.fx.problem)
        await sandbox_rails.control("/fx", {"primary": {"mid": "NaN"}})
        with pytest.raises(Refused):
            await first.mid()
        await sandbox_rails.control("/fx", {"primary": {"mid": "129.50", "status": 503}})
        with pytest.raises(Unavailable):
            await first.mid()
    await first.close()
    await second.close()


async def test_nobody_there_is_unavailable(unused_tcp_port):
    source = HttpFxSource(f"http://127.0.0.1:{unused_tcp_port}/")
    with pytest.raises(Unavailable):
        await source.mid()
    await source.close()


# --- text messages ---


@pytest.fixture
async def gateway(sandbox_rails):
    env = sandbox_rails.env
    adapter = AfricasTalking(
        url=env["PENPAY_SMS__URL"], username=env["PENPAY_SMS__USERNAME"], api_key=env["PENPAY_SMS__API_KEY"]
    )
    yield adapter
    await adapter.close()


async def test_a_message_arrives(gateway, sandbox_rails):
    await gateway.send(to="254708374149", text="Your code is 123456")
    messages = (await sandbox_rails.control("/sms?to=%2B254708374149"))["messages"]
    assert [message["text"] for message in messages] == ["Your code is 123456"]


async def test_a_rejected_number_is_refused_and_a_wrong_key_too(gateway, sandbox_rails):
    await sandbox_rails.control("/sms", {"reject": ["+254700000000"]})
    with pytest.raises(Refused):
        await gateway.send(to="254700000000", text="x")
    stranger = AfricasTalking(url=sandbox_rails.env["PENPAY_SMS__URL"], username="sandbox", api_key="wrong")
    with pytest.raises(Refused):
        await stranger.send(to="254708374149", text="x")
    await stranger.close()


async def test_a_provider_that_stumbles_is_tried_again(gateway, sandbox_rails):
    await sandbox_rails.control("/sms", {"fail": 2, "status": 500})
    ref = SmsActor.start(gateway, CourierSettings(retry_s=0.01))
    ref.tell(SendSms("254708374149", "again"))
    await until(lambda: inside(ref).observable_state()["done"])
    assert len((await sandbox_rails.control("/sms"))["messages"]) == 1
    await ref.shutdown(5)


class NeverThere:
    """A provider that is always away."""

    tries = 0

    async def send(self, *, to, text):
        self.tries += 1
        raise Unavailable("sms")


async def test_a_message_is_given_up_after_its_tries():
    away = NeverThere()
    ref = SmsActor.start(away, CourierSettings(tries=3, retry_s=0.001))
    ref.tell(SendSms("254708374149", "lost"))
    await until(lambda: inside(ref).observable_state()["given_up"])
    assert away.tries == 3
    await ref.shutdown(5)


async def test_waiting_messages_are_bounded():
    ref = SmsActor.start(NeverThere(), CourierSettings(queue_max=2, in_flight_max=1, retry_s=60.0))
    for _ in range(10):
        ref.tell(SendSms("254708374149", "x"))
    await until(lambda: inside(ref).observable_state()["given_up"] >= 6)
    assert inside(ref).observable_state()["waiting"] <= 2 + 1  # the one in flight finds its way back
    assert ref.is_alive()
    await ref.shutdown(5)
