"""F101: the wall clock jumps, or two nodes differ."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.rail_lease import LeaseHolder
from penpay.adapters.tokens import EdDsaTokens
from penpay.domain.accounts import Claims
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
