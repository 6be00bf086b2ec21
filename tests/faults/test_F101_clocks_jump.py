"""F101: the wall clock jumps, or two nodes differ."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.deriv_agent import Agent, AgentWitness
from actors.rail_lease import LeaseHolder
from penpay.adapters.tokens import EdDsaTokens
from penpay.domain.accounts import Claims
from penpay.domain.board import Board
from penpay.domain.debit_proof import both_marks
from penpay.domain.deriv_protocol import Frame
from penpay.domain.money import usd
from penpay.domain.statement import Watermark, sent_at
from penpay.ports import Lease
from tests.actors.house import HandClock

WHO = Claims("01KAF0Z3T9V5N5W6H3C8Q2YB7D", "01KAF0Z3T9V5N5W6H3C8Q2YB7E")


class Leases:
    """Gives a lease of twelve seconds."""

    def __init__(self, clock: "TwoHands") -> None:
        self.clock = clock

    async def acquire(self, name: str) -> Lease:
        return Lease(name, 1, self.clock.monotonic_s() + 12.0)


class TwoHands(HandClock):
    """Wall and running time apart."""

    ran_s = 0.0

    def monotonic_s(self) -> float:
        return self.ran_s


@pytest.mark.parametrize("jump_s", [-3600, 3600])
async def test_ownership_runs_by_time_that_only_goes_forward(jump_s: float) -> None:
    clock = TwoHands()
    holder = LeaseHolder("shard/0", Leases(clock), clock)  # type: ignore[arg-type]  # as much of it as is asked
    await holder.take()
    clock.turn(jump_s)
    assert holder.current() is not None
    clock.ran_s += 12.0
    assert holder.current() is None


@pytest.mark.parametrize(("skew_s", "taken"), [(-29, True), (29, True), (-40, False)])
def test_a_token_of_another_nodes_clock_is_taken_within_half_a_minute(skew_s: int, taken: bool) -> None:
    tokens = EdDsaTokens(seeds=[bytes(32)], lifetime_s=900)
    issued_at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    token = tokens.issue(WHO, at=issued_at)
    assert (tokens.read(token, at=issued_at + timedelta(seconds=skew_s)) == WHO) is taken


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_the_time_at_deriv_goes_on_when_ours_is_set(jump_s: float) -> None:
    clock = TwoHands()
    witness = AgentWitness(Agent(loginid="CR900001", token=""), Board(), clock)
    told_at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    witness.on_time(Frame(msg_type="time", req_id=1, members={"time": int(told_at.timestamp())}))
    clock.ran_s += 30.0
    clock.turn(jump_s)
    assert witness.server_now() == witness.told_now() == told_at + timedelta(seconds=30)


def test_no_time_of_ours_frees_what_an_attempt_blocks_unless_deriv_does_not_tell_its_own() -> None:
    clock = TwoHands()
    witness = AgentWitness(Agent(loginid="CR900001", token=""), Board(), clock)
    assert witness.told_now() is None
    witness.lacks("time", for_now=True)
    assert witness.told_now() == clock.now()


@pytest.mark.parametrize(("behind_s", "counts"), [(3600, "theirs"), (0, "theirs"), (-3600, "ours")])
def test_a_settle_window_never_begins_before_the_call(behind_s: float, counts: str) -> None:
    """A row that was written by a clock an hour behind would end it at once, and a lost call look absent."""
    before = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    mark = Watermark(transaction_id=7, balance=usd(100), server_time_at=before)
    recorded_at = before - timedelta(seconds=behind_s)
    later = before if counts == "theirs" else recorded_at
    assert sent_at(recorded_at, mark.as_text()) == later
    customer = Watermark(transaction_id=3, balance=usd(9), server_time_at=before - timedelta(minutes=1))
    assert sent_at(recorded_at, both_marks(customer=customer, agent=mark)) == later


def test_an_attempt_without_a_mark_counts_from_its_row() -> None:
    recorded_at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    assert sent_at(recorded_at, {}) == recorded_at
    assert sent_at(recorded_at, {"server_time_at": "soon"}) == recorded_at
