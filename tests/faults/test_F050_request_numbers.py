"""F50: request numbers begin anew after a reconnect."""

from actors.deriv_session_parts import OpenCall, OpenCalls


def test_a_reply_to_the_old_socket_belongs_to_nobody_on_the_new_one() -> None:
    calls = OpenCalls(late_max=10)
    assert calls.connected() == 1
    old = calls.add(OpenCall(None, None))
    calls.broken()
    assert calls.connected() == 2
    mine = OpenCall(None, None)
    new = calls.add(mine)
    assert new != old
    assert calls.take(old) is None
    assert calls.take(new) is mine


def test_numbers_stay_exact_in_json_for_years_of_reconnects() -> None:
    calls = OpenCalls(late_max=10)
    for _ in range(100_000):
        calls.connected()
    assert calls.add(OpenCall(None, None)) < 2**53
