"""Asks that run out of time together share one timer of the loop, and none does so before its time."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from actors.runtime.deadlines import TICKS_PER_S, Deadlines, deadlines_on
from actors.runtime.errors import AskTimeout
from actors.runtime.future import LoopReply


class HandLoop:
    """Remembers what is due."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Any, tuple[Any, ...]]] = []

    def call_at(self, when_s: float, call: Any, *args: Any) -> None:
        self.due.append((when_s, call, args))

    def run(self) -> None:
        while self.due:
            _, call, args = self.due.pop(0)
            call(*args)


class Waiting:
    """Who asked."""

    def __init__(self) -> None:
        self.refused: list[BaseException] = []

    def refuse(self, error: BaseException) -> None:
        self.refused.append(error)


def asked(deadlines: Deadlines, loop: HandLoop, at_s: float) -> tuple[Any, Waiting]:
    due, one = deadlines.of(at_s, loop), Waiting()  # type: ignore[arg-type]
    due[one] = ("shards/0/ledger", {}, 5.0)  # type: ignore[index,assignment]
    return due, one


def test_one_timer_serves_all_of_a_moment() -> None:
    loop, deadlines = HandLoop(), Deadlines()
    waiting = [asked(deadlines, loop, 7.001 + 0.0001 * number)[1] for number in range(50)]
    assert len(loop.due) == 1
    loop.run()
    for one in waiting:
        (error,) = one.refused
        assert isinstance(error, AskTimeout)
        assert str(error) == "dict to shards/0/ledger: no answer in 5.0 s"


@pytest.mark.parametrize("at_s", [0.0, 0.009999, 0.01, 3.14159, 86_400.0, 1e7 + 1 / 3])
def test_nobody_runs_out_of_time_early_or_more_than_a_tick_late(at_s: float) -> None:
    loop = HandLoop()
    asked(Deadlines(), loop, at_s)
    ((when_s, _, _),) = loop.due
    assert at_s <= when_s <= at_s + 1.01 / TICKS_PER_S


def test_who_was_answered_is_not_refused_and_a_moment_that_is_over_begins_anew() -> None:
    loop, deadlines = HandLoop(), Deadlines()
    due, answered = asked(deadlines, loop, 1.0)
    _, late = asked(deadlines, loop, 1.0)
    del due[answered]
    loop.run()
    assert (len(answered.refused), len(late.refused)) == (0, 1)
    asked(deadlines, loop, 1.0)
    assert len(loop.due) == 1
    assert len(late.refused) == 1


def test_a_loop_that_ended_in_the_middle_of_an_ask_is_forgotten() -> None:
    """As a simulated node's that was killed: nothing of it runs afterwards, also no clean-up."""
    loop = asyncio.new_event_loop()
    due = deadlines_on(loop).of(loop.time() + 60.0, loop)
    due[LoopReply(loop=loop)] = (loop, "anything", 60.0)  # type: ignore[assignment]
    known = weakref.ref(loop)
    loop.close()
    del loop, due
    gc.collect()
    assert known() is None
