"""The watchdog sees a blocked loop from outside."""

import asyncio
import threading

from structlog.testing import capture_logs

from supervisors.watchdog import Watchdog, WatchdogActor, WatchdogLimits

QUICK = WatchdogLimits(warn_s=0.02, exit_s=0.06, tick_s=0.005)


async def test_a_blocked_loop_is_logged_with_stacks_and_ends_the_process():
    ended = threading.Event()
    statuses = []

    def end_process(status):
        statuses.append(status)
        ended.set()

    watchdog = Watchdog(asyncio.get_running_loop(), QUICK, end_process=end_process)
    watchdog.start()
    with capture_logs() as lines:
        assert ended.wait(10)  # blocks this very loop until the watchdog gives up on it
    watchdog.stop()
    assert statuses == [75]
    blocked = next(line for line in lines if line["event"] == "event loop is blocked")
    assert any("ended.wait(10)" in stack for stack in blocked["threads"])


async def test_a_running_loop_is_never_warned_about():
    patient = WatchdogLimits(warn_s=30, exit_s=60, tick_s=0.001)
    watchdog = Watchdog(asyncio.get_running_loop(), patient, end_process=lambda _: None)
    with capture_logs() as lines:
        watchdog.start()
        await asyncio.sleep(0.05)
        watchdog.stop()
    assert lines == []


async def test_the_watchdog_actor_ends_its_thread():
    ref = WatchdogActor.start(print)
    await ref.ready()
    thread = ref._cell.actor.watchdog._thread
    assert thread.is_alive()
    await ref.shutdown()
    assert not thread.is_alive()


async def test_the_longest_lag_is_reported_once(monkeypatch):
    monkeypatch.setattr("supervisors.watchdog.REPORT_EVERY_S", 0.01)
    reports = []
    ref = WatchdogActor.start(reports.append, WatchdogLimits(warn_s=30, exit_s=60, tick_s=0.001))
    await ref.ready()
    watchdog = ref._cell.actor.watchdog
    async with asyncio.timeout(5):
        while watchdog._asked_at_s is None:
            await asyncio.sleep(0)
    threading.Event().wait(0.05)  # blocks the loop, which owes an answer
    async with asyncio.timeout(5):
        while max(reports, default=0) < 0.05:
            await asyncio.sleep(0.001)
    watchdog.take_lag_max_s()
    assert watchdog.take_lag_max_s() == 0
    await ref.shutdown()
