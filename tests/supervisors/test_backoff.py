"""Delays between restarts, and how many restarts are too many."""

import random

from hypothesis import given
from hypothesis import strategies as st

from supervisors.backoff import Backoff, Intensity
from supervisors.specs import BackoffPolicy, StormPolicy
from supervisors.storm import StormGuard


@given(seed=st.integers(), failures=st.integers(1, 2000))
def test_a_delay_is_between_half_and_all_of_its_ceiling(seed, failures):
    policy = BackoffPolicy(base_s=0.1, cap_s=30.0)
    backoff = Backoff(policy, random.Random(seed))
    for number in range(failures):
        ceiling_s = min(30.0, 0.1 * 2 ** min(number, 40))
        assert ceiling_s / 2 <= backoff.next_delay_s() <= ceiling_s


def test_health_starts_the_delays_over():
    backoff = Backoff(BackoffPolicy(base_s=1.0, cap_s=60.0, reset_after_s=60.0), random.Random(1))
    for _ in range(5):
        backoff.next_delay_s(healthy_s=59.9)
    assert backoff.next_delay_s(healthy_s=59.9) > 15
    assert backoff.next_delay_s(healthy_s=60.0) <= 1.0


def test_equal_seeds_give_equal_delays():
    one, other = (Backoff(BackoffPolicy(), random.Random(5)) for _ in range(2))
    assert [one.next_delay_s() for _ in range(9)] == [other.next_delay_s() for _ in range(9)]


@given(
    times=st.lists(st.integers(0, 400), min_size=1, max_size=60).map(sorted),
    most=st.integers(0, 6),
    within=st.integers(1, 60),
)
def test_intensity_is_exceeded_exactly_when_a_window_holds_one_too_many(times, most, within):
    intensity = Intensity(most, float(within))
    for index, now in enumerate(times):
        in_window = sum(1 for earlier in times[: index + 1] if now - earlier <= within)
        assert intensity.exceeded(float(now)) == (in_window > most)


def test_many_crashes_in_the_window_are_a_storm_and_old_ones_are_not():
    guard = StormGuard(StormPolicy(crashes=3, within_s=10.0, share_min=10_000))
    assert [guard.crashed(OSError, now_s=now, active=10_000) for now in (0.0, 1.0, 2.0)] == [False] * 3
    assert guard.crashed(KeyError, now_s=3.0, active=10_000)
    guard.clear()
    assert not guard.crashed(OSError, now_s=4.0, active=10_000)
    assert not any(guard.crashed(OSError, now_s=now, active=10_000) for now in (20.0, 31.0, 42.0, 53.0, 64.0))


def test_a_share_of_one_class_is_a_storm_but_not_among_a_handful():
    guard = StormGuard(StormPolicy(share=0.1, share_min=10))
    assert not any(guard.crashed(OSError, now_s=0.0, active=20) for _ in range(9))
    assert guard.crashed(OSError, now_s=0.0, active=20)
    mixed = StormGuard(StormPolicy(share=0.1, share_min=10))
    kinds = [OSError, KeyError, ValueError, TypeError]
    assert not any(mixed.crashed(kinds[number % 4], now_s=0.0, active=100) for number in range(36))
