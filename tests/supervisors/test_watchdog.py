"""The watchdog sees a blocked loop from outside."""

import asyncio
import threading

from structlog.testing import capture_logs

from supervisors.watchdog import Watchdog, WatchdogActor, WatchdogLimits

QUICK = WatchdogLimits(warn_s=0.02, unhealthy_s=0.04, exit_s=0.06, tick_s=0.005)


async def test_a_blocked_loop_is_logged_with_stacks_turns_unhealthy_and_ends_the_process():
    ended = threading.Event()
    statuses = []

    def end_process(status):
        statuses.append((status, watchdog.healthy))
        ended.set()

    watchdog = Watchdog(asyncio.get_running_loop(), QUICK, end_process=end_process)
    watchdog.start()
    with capture_logs() as lines:
        assert ended.wait(10)  # blocks this very loop until the watchdog gives up on it
    watchdog.stop()
    assert statuses == [(75, False)]
    blocked = next(line for line in lines if line["event"] == "event loop is blocked")
    assert any("ended.wait(10)" in stack for stack in blocked["threads"])


async def test_a_running_loop_is_healthy_and_never_warned_about():
    patient = WatchdogLimits(warn_s=30, unhealthy_s=30, exit_s=60, tick_s=0.001)
    watchdog = Watchdog(asyncio.get_running_loop(), patient, end_process=lambda _: None)
    with capture_logs() as lines:
        watchdog.start()
        await asyncio.sleep(0.05)
        watchdog.stop()
    assert watchdog.healthy
    assert lines == []


async def test_the_watchdog_actor_ends_its_thread():
    ref = WatchdogActor.start()
    await ref.ready()
    thread = ref._cell.actor.watchdog._thread
    assert thread.is_alive()
    await ref.shutdown()
    assert not thread.is_alive()
