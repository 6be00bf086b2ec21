"""Pacing, breakers and leases."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.breaker import Breaker, BreakerState
from actors.pacing import TokenBucket
from actors.rail_lease import LeaseHolder, RailLeaseActor
from penpay.domain.errors import Unavailable
from tests.rails.fakes import MemoryLeases, TurnableClock, inside, until


@given(st.floats(0.5, 50), st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_no_window_holds_more_calls_than_burst_and_rate(per_s, gaps):
    bucket, now_s, calls = TokenBucket(per_s), 1000.0, []
    for gap in gaps:
        now_s += gap
        if bucket.wait_s(now_s) == 0:
            bucket.take(now_s)
            calls.append(now_s)
    for first, start in enumerate(calls):
        for last, end in enumerate(calls[first:], first):
            assert last - first + 1 <= max(1.0, per_s) + (end - start) * per_s + 1e-6


def test_the_wait_is_enough():
    bucket = TokenBucket(2.0)
    for _ in range(2):
        bucket.take(10.0)
    wait_s = bucket.wait_s(10.0)
    assert wait_s > 0
    assert bucket.wait_s(10.0 + wait_s + 1e-9) == 0


def test_a_complaint_halves_the_rate_and_successes_bring_it_back():
    bucket = TokenBucket(8.0)
    bucket.slower()
    bucket.slower()
    assert bucket.per_s == 2.0
    for _ in range(200):
        bucket.succeeded()
    assert bucket.per_s == 8.0


def test_unpaced_never_waits():
    bucket = TokenBucket(0.0)
    for _ in range(1000):
        bucket.take(1.0)
    assert bucket.wait_s(1.0) == 0


def test_four_failures_in_a_row_are_not_enough():
    breaker = Breaker()
    for ok in (False, False, False, False, True, False, False, False, False):
        breaker.ended(ok=ok, now_s=0.0)
    assert breaker.closed
    breaker.ended(ok=False, now_s=0.0)
    assert breaker.state is BreakerState.OPEN


def test_half_of_twenty_calls_failing_opens_it():
    breaker = Breaker()
    for number in range(20):
        assert breaker.closed
        breaker.ended(ok=number % 2 == 0, now_s=float(number))
    assert not breaker.closed


def test_old_failures_are_forgotten():
    breaker = Breaker()
    for number in range(40):
        breaker.ended(ok=number % 2 == 0, now_s=number * 31.0)
    assert breaker.closed


def test_failed_probes_double_the_wait_up_to_a_minute():
    breaker, now_s, waits = Breaker(), 0.0, []
    for _ in range(5):
        breaker.ended(ok=False, now_s=now_s)
    for _ in range(6):
        waits.append(breaker.wait_s(now_s))
        now_s += waits[-1]
        breaker.probe()
        breaker.probed(ok=False, now_s=now_s)
    assert waits == [5, 10, 20, 40, 60, 60]
    breaker.probe()
    breaker.probed(ok=True, now_s=now_s)
    assert breaker.closed


@pytest.fixture
def clock():
    return TurnableClock()


@pytest.fixture
def leases(clock):
    return MemoryLeases(clock)


@pytest.fixture
def holder(leases, clock):
    return LeaseHolder("rail/daraja", leases, clock)


async def test_a_lease_counts_until_its_deadline_only(holder, clock):
    lease = await holder.keep()
    assert holder.current() == lease
    clock.turn(61)
    assert holder.current() is None
    assert holder.held


async def test_renewing_keeps_the_epoch_and_taking_raises_it(holder):
    first = await holder.keep()
    assert (await holder.keep()).epoch == first.epoch
    assert (await holder.take()).epoch == first.epoch + 1
    assert (await holder.keep()).epoch == first.epoch + 1


async def test_a_sender_that_begins_without_the_database_goes_on_under_no_old_epoch(holder, leases):
    """Its earlier incarnation's attempts would count as its own, and nobody would ever give them an end."""
    first = await holder.keep()
    leases.away = True
    with pytest.raises(Unavailable):
        await holder.take()
    assert (holder.current(), holder.held) == (None, True)
    leases.away = False
    assert (await holder.keep()).epoch == first.epoch + 1
    assert holder.current().epoch == first.epoch + 1


async def test_a_lease_is_lost_when_a_row_says_so_not_when_the_database_is_away(holder, leases):
    await holder.keep()
    leases.away = True
    ref = RailLeaseActor.start(holder, renew_s=0.01)
    await ref.ready()
    await asyncio.sleep(0.05)
    assert holder.held
    leases.away = False
    leases.taken_by_another = True
    await until(lambda: not holder.held)
    leases.taken_by_another = False
    await until(lambda: holder.current() is not None)
    assert inside(ref).observable_state()["held"]
    await ref.shutdown(5)
    assert not holder.held


async def test_a_sender_taking_a_new_epoch_beside_a_renewal_is_not_undone(holder):
    await holder.keep()
    await asyncio.gather(holder.keep(), holder.take(), holder.keep())
    assert holder.current() is not None
    assert (await holder.keep()).epoch == holder.current().epoch
