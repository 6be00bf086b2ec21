"""Loaded into the pytest process that runs Pykka's suite: gives it our actor classes instead of the threading ones.

Also a `mocker` with the four things that the suite uses of pytest-mock, so that the suite needs nothing else installed.
"""

import asyncio
import os
import threading
import time
from dataclasses import replace
from unittest import mock

import pytest

from actors import base


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    result = yield
    if fixturedef.argname != "runtime":
        return result
    ours = replace(
        result,
        name=os.environ["ACTOR_CLASS"],
        actor_class=getattr(base, os.environ["ACTOR_CLASS"]),
        future_class=base.AsyncioFuture,
        event_class=threading.Event,
        sleep_func=time.sleep,
    )
    fixturedef.cached_result = (ours, *fixturedef.cached_result[1:])
    return ours


@pytest.fixture(scope="session", autouse=True)
def _loop_in_a_thread():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    base.use_loop(loop)
    yield
    base.use_loop(None)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


class Mocker:
    Mock = mock.Mock
    MagicMock = mock.MagicMock
    NonCallableMock = mock.NonCallableMock

    def __init__(self):
        self._patchers = []
        self.patch = self

    def object(self, *args, **kwargs):
        patcher = mock.patch.object(*args, **kwargs)
        self._patchers.append(patcher)
        return patcher.start()

    def undo(self):
        for patcher in reversed(self._patchers):
            patcher.stop()


@pytest.fixture
def mocker():
    mocker = Mocker()
    yield mocker
    mocker.undo()
